/*
 * A reader that is killed at any step, and its successor: nothing is lost without being counted, nothing is given to
 * the program twice. docs/ordering.md, `progress` and "A dead reader's successor".
 *
 * The reader's stores are ordered by their program alone here: a successor begins when the predecessor is dead, and
 * all of its stores are visible then. The writer publishes with one store (publish.pml has the rest) and overwrites
 * what the successor looks at. What a record says is looked up by its word, the sequence + 1.
 */
#ifndef RECORDS
#define RECORDS 4
#endif
#ifndef CAPACITY
#define CAPACITY 3
#endif
#ifndef FILTERS
#define FILTERS 2 /* instruments; a record may also be of one that the queue does not want */
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define BATCH 2

#define OLDEST(head) ((head) < CAPACITY -> 0 : (head) - CAPACITY + 1)
#define SLOT(s) ((s) % CAPACITY)

typedef Progress {
	byte cursor, received, lost, batch_first, batch_count
};

byte ring[CAPACITY], Head;
byte filter[RECORDS], number[RECORDS]; /* of each record; FILTERS: not wanted */
byte count[FILTERS];                   /* Count of the instrument table */
byte Expected[FILTERS];
Progress Copies[2];
bit Which;
byte Handed;
bool given[RECORDS]; /* the program has had it */
byte kills = KILLS;

#define OR_KILLED :: kills > 0 -> kills--; goto killed
#if KILLS > 1
#define SUCCESSOR_OR_KILLED OR_KILLED
#else
#define SUCCESSOR_OR_KILLED
#endif

proctype Writer() {
	byte s, f;
	do
	:: s < RECORDS ->
		atomic {
			select (f : 0 .. FILTERS);
			filter[s] = f;
			if
			:: f < FILTERS -> number[s] = count[f]; count[f]++
			:: else
			fi;
			f = 0;
			ring[SLOT(s)] = s + 1
		};
		Head = s + 1;
		s++
	:: else -> break
	od
}

#define FILTER(word) filter[(word) - 1]
#define NUMBER(word) number[(word) - 1]

/* numbered() */
inline numbered() {
	atomic {
		sum = 0;
		for (f : 0 .. FILTERS - 1) { sum = sum + Expected[f] }
		f = 0
	}
}

/* Reader::resume() */
inline resume() {
	numbered();
	d_step {
		in_hand = (now.received > Handed -> now.received - Handed : 0);
		in_hand = (in_hand < now.batch_count -> in_hand : now.batch_count);
#ifdef NO_GOING_BACK
		in_hand = 0;
#endif
#ifdef NO_SUMS
		committed = true;
#else
		committed = (sum == now.received + now.lost);
#endif
		sum = 0
	};
	if
	:: in_hand == 0 && committed -> goto resumed
	:: else
	fi;
	atomic {
		head = Head;
		end = (committed || now.cursor > head -> now.cursor : head);
		first = (now.batch_first > OLDEST(head) -> now.batch_first : OLDEST(head));
		s = first
	};
	do
	:: s < end -> seen[s - first] = ring[SLOT(s)]; s++
	:: else -> break
	od;
#ifdef NO_SECOND_LOOK
	skip;
#else
	head = Head;
#endif
	d_step {
		/* Nothing in `seen` below `from`. What has been overwritten, and what is not wanted, is taken out. */
		from = (OLDEST(head) > first -> OLDEST(head) : first);
		from = (from > end -> end : from);
		for (s : first .. end) {
			if
			:: s < from -> seen[s - first] = 0
			:: s >= from && s < end ->
				assert(seen[s - first] == s + 1);
				if
				:: FILTER(s + 1) == FILTERS -> seen[s - first] = 0
				:: else
				fi
			:: else
			fi
		};
		/* Those in hand, from the last one back. */
		there = 0;
		s = (now.cursor < end -> now.cursor : end);
		back = now.cursor;
		do
		:: s > from && there < in_hand ->
			s--;
			if
			:: seen[s - first] != 0 -> there++; back = s
			:: else
			fi
		:: else -> break
		od;
		s = (back > first -> back : first)
	};
	do
	:: s < end ->
		if
		:: seen[s - first] != 0 ->
			if
			:: s < now.cursor -> now.received--
			:: else
			fi;
#ifndef EXPECTED_KEPT
			if
			:: NUMBER(s + 1) < Expected[FILTER(s + 1)] -> Expected[FILTER(s + 1)] = NUMBER(s + 1)
			:: NUMBER(s + 1) >= Expected[FILTER(s + 1)]
			SUCCESSOR_OR_KILLED
			fi
#endif
		:: else
		fi;
		s++
	:: else -> break
	od;
	numbered();
	d_step {
		now.cursor = back;
		now.received = now.received - (in_hand - there);
#ifndef LOST_KEPT
		now.lost = (sum > now.received -> sum - now.received : 0);
#endif
		sum = 0
	};
resumed:
	atomic {
		in_hand = 0; committed = 0; head = 0; end = 0; first = 0; from = 0; there = 0; back = 0; s = 0;
		seen[0] = 0; seen[1] = 0; seen[2] = 0
	}
}

/* Reader::commit(). The order against the writer says nothing, what matters is where it may end. */
inline commit(records) {
	atomic {
		now.batch_first = batch_first;
		now.batch_count = records;
		batch_first = now.cursor;
#ifdef SINGLE_PROGRESS_COPY
		which = 1 - which;
#endif
#ifdef WHICH_FIRST
		if
		:: Which = 1 - which
		OR_KILLED
		fi;
#endif
		if
		:: Copies[1 - which].cursor = now.cursor
		OR_KILLED
		fi;
		if
		:: Copies[1 - which].received = now.received
		OR_KILLED
		fi;
		if
		:: Copies[1 - which].lost = now.lost
		OR_KILLED
		fi;
		if
		:: Copies[1 - which].batch_first = now.batch_first
		OR_KILLED
		fi;
		if
		:: Copies[1 - which].batch_count = now.batch_count
		OR_KILLED
		fi;
		which = 1 - which;
		if
		:: Which = which
		OR_KILLED
		fi
	}
}

/* The program has the next record of the batch. */
inline hand_out() {
#ifdef HANDED_AFTER
	if
	:: d_step { assert(!given[which_s]); given[which_s] = true }
	OR_KILLED
	fi;
	if
	:: Handed = handed + 1
	OR_KILLED
	fi;
#else
	if
	:: d_step { Handed = handed + 1; assert(!given[which_s]); given[which_s] = true }
	OR_KILLED
	fi;
#endif
	handed++
}

proctype Reader() {
	Progress now;
	bit which;
	byte batch_first;
	byte word[BATCH], copied, s, f, head, end, i;                        /* of a take */
	byte in_hand, first, from, there, back, sum, seen[CAPACITY]; /* of resume() */
	byte handed, which_s;
	bool committed, ending;
	goto open;
killed:
	atomic {
		ending = false; copied = 0; s = 0; f = 0; head = 0; end = 0; i = 0; word[0] = 0; word[1] = 0;
		in_hand = 0; first = 0; from = 0; there = 0; back = 0; sum = 0; committed = 0; which_s = 0; handed = 0;
		seen[0] = 0; seen[1] = 0; seen[2] = 0
	};
open: /* Reader::open() */
	atomic {
		which = Which;
		now.cursor = Copies[which].cursor;
		now.received = Copies[which].received;
		now.lost = Copies[which].lost;
		now.batch_first = Copies[which].batch_first;
		now.batch_count = Copies[which].batch_count
	};
	resume();
	if
	:: d_step { Handed = now.received; handed = now.received; batch_first = now.cursor }
	OR_KILLED
	fi;
look: /* Reader::look(), one chunk of collect() */
	head = Head;
	if
	:: now.cursor == head && head == RECORDS -> goto ended
	:: now.cursor == head && head < RECORDS -> head = 0; goto look
	:: else
	fi;
	s = now.cursor;
	do
	:: s < head && copied < BATCH ->
		end = ring[SLOT(s)];
		if
		:: FILTER(end) < FILTERS -> word[copied] = end; copied++
		:: else
		fi;
		end = 0;
		s++
	:: else -> break
	od;
	head = Head;
	if
	:: head >= now.cursor + CAPACITY ->
		d_step { /* overrun(), and the next look */
			now.cursor = OLDEST(head);
			head = 0; s = 0; copied = 0; word[0] = 0; word[1] = 0
		};
		commit(0);
		goto look
	:: else
	fi;
	d_step { now.cursor = s; head = 0; s = 0 };
	do /* account(), keep() */
	:: i < copied ->
		f = FILTER(word[i]);
		assert(NUMBER(word[i]) >= Expected[f]);
		now.lost = now.lost + NUMBER(word[i]) - Expected[f];
		if
		:: Expected[f] = NUMBER(word[i]) + 1
		OR_KILLED
		fi;
		d_step { now.received++; f = 0; i++ }
	:: else -> break
	od;
	i = 0;
	commit(copied);
#ifdef GET_MANY
	if
	:: d_step {
			Handed = now.received;
			do
			:: i < copied -> assert(!given[word[i] - 1]); given[word[i] - 1] = true; i++
			:: else -> break
			od;
			i = 0
		}
	OR_KILLED
	fi;
#else
#ifdef HANDED_BY_COMMIT
	Handed = now.received;
#endif
	do
	:: i < copied -> which_s = word[i] - 1; hand_out(); which_s = 0; i++
	:: else -> break
	od;
	i = 0;
#endif
	d_step { copied = 0; word[0] = 0; word[1] = 0 };
	goto look;
ended: /* reconcile(), commit() */
	do
	:: f < FILTERS ->
		if
		:: count[f] > Expected[f] ->
			now.lost = now.lost + count[f] - Expected[f];
			if
			:: Expected[f] = count[f]
			OR_KILLED
			fi
		:: else
		fi;
		f++
	:: else -> break
	od;
	f = 0;
	commit(0);
	d_step {
		sum = 0; there = 0;
		for (f : 0 .. FILTERS - 1) { sum = sum + count[f] }
		for (s : 0 .. RECORDS - 1) { there = there + given[s] }
		assert(now.received + now.lost == sum); /* nothing is lost uncounted */
		assert(now.received == there && Handed == there) /* what is not lost, the program has had, once */
	}
}

init {
	atomic {
		run Writer();
		run Reader()
	}
}
