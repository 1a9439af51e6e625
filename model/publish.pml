/*
 * Publish, read, overrun, count; a writer that is killed and its successor. docs/ordering.md, "Publish and read",
 * "The overwrite check", "Overrun", "Counting losses exactly", "A dead writer's successor".
 *
 * One word stands for all words of a record: any of them, so what holds for it holds for each. It names its record
 * and the attempt to write it; what a record says (kind or instrument, number) is looked up by that.
 */
#ifndef CAPACITY
#define CAPACITY 2
#endif
#ifndef RECORDS
#define RECORDS 4
#endif
#ifndef CHUNK
#define CHUNK 1 /* records checked by one look at Head */
#endif

#define SLOT(s) ((s) % CAPACITY)
#define STAMP(s) SLOT(s)
#define WORD(s) (CAPACITY + SLOT(s))
#define HEAD (2 * CAPACITY)
#define CLOSED (HEAD + 1)
#ifdef FILTERED
#define COUNT (HEAD + 2)
#define LATEST (HEAD + 3)
#define WORDS (HEAD + 4)
#else
#define TICKS (HEAD + 2)
#define WORDS (HEAD + 3)
#endif
#include "memory.pml"

bool wanted[RECORDS]; /* a tick that the queue wants; else an event or, of a queue with a filter, another tick */
byte number[RECORDS]; /* TickNumber, of a queue with a filter InstrumentNumber */
byte content[RECORDS]; /* what the record's word is when it is whole */

#define NAMED(word) (((word) & 15) - 1) /* the sequence in a word */

#ifdef NO_STAMP_RELEASE
#define stamp_store store
#else
#define stamp_store release_store
#endif
#ifdef NO_COUNT_RELEASE
#define count_store store
#else
#define count_store release_store
#endif
#ifdef NO_TICKS_RELEASE
#define ticks_store store
#else
#define ticks_store release_store
#endif
#ifdef NO_HEAD_RELEASE
#define head_store store
#else
#define head_store release_store
#endif
#ifdef NO_CLOSED_RELEASE
#define closed_store store
#else
#define closed_store release_store
#endif

/* Writer::begin(), publish_tick() or publish_event(), finish(). */
proctype Writer() {
	byte s, ticks, attempt;
#ifdef KILLS
	goto publish;
killed: /* open() and recover() of the next writer */
	ALL_OF_THE_DEAD;
	atomic {
		attempt = 16;
		s = mem[HEAD];
#ifndef NO_LOOK_AT_STAMP
		if
		:: s < RECORDS && mem[STAMP(s)] == s + 1 -> s++ /* stamped, not yet counted */
		:: else
		fi;
#endif
		ticks = 0;
		if
		:: s > 0 ->
			assert(mem[WORD(s - 1)] == content[s - 1]); /* the last record is a whole one */
			ticks = number[s - 1] + wanted[s - 1]
		:: else
		fi
	};
#ifdef FILTERED
#ifdef COUNTERS_NOT_MENDED
	ticks = mem[COUNT];
#else
	if
	:: s > 0 && wanted[s - 1] ->
		store(LATEST, s);
#ifdef RECOVERED_COUNT_PLAIN
		store(COUNT, ticks)
#else
		count_store(COUNT, ticks)
#endif
	:: else
	fi;
#endif
#else
	store(TICKS, ticks);
#endif
	release_store(HEAD, s);
publish:
#endif
	do
	:: s < RECORDS ->
		atomic {
			if
			:: wanted[s] = true
			:: wanted[s] = false
			fi;
			number[s] = ticks;
			content[s] = attempt + s + 1;
			ticks = ticks + wanted[s]
		};
#ifdef TICKS_BEFORE_STAMP
		ticks_store(TICKS, ticks);
#endif
#ifdef STAMP_FIRST
		stamp_store(STAMP(s), s + 1);
#endif
#ifndef NO_BEGIN_FENCE
		VISIBLE;
#endif
		store(WORD(s), content[s]);
#ifndef STAMP_FIRST
		stamp_store(STAMP(s), s + 1);
#endif
#ifdef FILTERED
		if
		:: wanted[s] ->
			store(LATEST, s + 1);
			count_store(COUNT, ticks)
		:: else
		fi;
#elif !defined(TICKS_BEFORE_STAMP)
		ticks_store(TICKS, ticks);
#endif
		head_store(HEAD, s + 1);
		s++
	:: else -> break
	od;
	closed_store(CLOSED, 1)
}

/* Reader::something_new() */
inline something_new() {
	if
	:: cursor < head_seen -> news = true
	:: else ->
#ifdef NO_STAMP_ACQUIRE
		early = mem[WORD(cursor)];
#endif
		seen = mem[STAMP(cursor)];
		if
		:: seen <= cursor -> news = false
		:: seen == cursor + 1 -> head_seen = seen; news = true
		:: else -> head_seen = mem[HEAD]; news = (cursor < head_seen)
		fi;
		seen = 0
	fi
}

/* lose_up_to() */
inline lose_up_to(written) {
	if
	:: written > expected -> lost = lost + written - expected; expected = written
	:: else
	fi
}

/* Reader::reconcile() */
inline reconcile() {
#ifdef FILTERED
#ifdef NO_COUNT_ACQUIRE
	latest = mem[LATEST];
	count = mem[COUNT];
#else
	count = mem[COUNT];
	latest = mem[LATEST];
#endif
	d_step {
		if
		:: latest <= cursor -> lose_up_to(count)
		:: else
		fi;
		latest = 0; count = 0
	}
#else
#ifdef NO_TICKS_ACQUIRE
	something_new();
	count = mem[TICKS];
#else
	count = mem[TICKS];
	something_new();
#endif
	d_step {
		if
		:: !news -> lose_up_to(count)
		:: else
		fi;
		news = false; count = 0
	}
#endif
}

/* Of a copy that was accepted: whole, the record that was asked for, and not one that was counted as lost or has been
 * received before. keep() */
inline accept(word, s) {
	assert(word == content[s]);
	if
	:: wanted[s] ->
		assert(number[s] >= expected);
		lost = lost + number[s] - expected;
		expected = number[s] + 1;
		received++
	:: else
	fi
}

proctype Reader() {
	byte cursor, head_seen, expected, received, lost; /* the queue's progress */
	byte seen, count, latest, head, s, i;
	byte copy[CHUNK]; /* 0: passed over by filter_of() */
	bool news, ending;
#ifdef NO_STAMP_ACQUIRE
	byte early;
#endif
look:
	something_new();
	if
	:: news -> news = false; goto collect
	:: else
	fi;
	if
	:: mem[CLOSED] == 0 -> goto look
	:: mem[CLOSED] == 0 -> skip /* counters(), at any time */
	:: else ->
#ifndef NO_CLOSED_ACQUIRE
		something_new(); /* ended(): what was written before the end */
		if
		:: news -> news = false; goto collect
		:: else
		fi;
#endif
		ending = true
	fi;
	reconcile();
	if
	:: ending ->
		assert(cursor == RECORDS);
		assert(received + lost == number[RECORDS - 1] + wanted[RECORDS - 1]); /* all that was written */
		goto ended
	:: else -> goto look
	fi;
collect: /* one chunk of Reader::collect() */
#ifdef NO_OVERWRITE_ACQUIRE
	head = mem[HEAD];
#endif
	s = cursor;
	do
	:: s < head_seen && s < cursor + CHUNK ->
#ifdef FILTERED
		seen = mem[WORD(s)];
		if
		:: !wanted[NAMED(seen)] -> goto passed
		:: else
		fi;
#endif
		copy[s - cursor] = mem[WORD(s)];
#ifdef NO_STAMP_ACQUIRE
		if
		:: s == cursor && early != 0 -> copy[0] = early
		:: else
		fi;
#endif
#ifdef FILTERED
passed:		seen = 0;
#endif
		s++
	:: else -> break
	od;
#ifdef NO_OVERWRITE_ACQUIRE
	skip;
#else
	head = mem[HEAD];
#endif
	d_step {
		if
#ifdef CHECKS_THE_LAST
		:: head >= s - 1 + CAPACITY ->
#elif defined(ONE_SLOT_MORE)
		:: head > cursor + CAPACITY ->
#elif defined(NO_SECOND_LOOK)
		:: false ->
#else
		:: head >= cursor + CAPACITY ->
#endif
			cursor = head - CAPACITY + 1 /* overrun() */
		:: else ->
			i = 0;
			do
			:: cursor + i < s ->
#ifdef FILTERED
				if
				:: copy[i] != 0 -> accept(copy[i], cursor + i)
				:: else -> assert(!wanted[cursor + i])
				fi;
#else
				accept(copy[i], cursor + i);
#endif
				i++
			:: else -> break
			od;
			cursor = s
		fi;
		if
		:: head > head_seen -> head_seen = head
		:: else
		fi;
		head = 0; s = 0; i = 0;
		do
		:: i < CHUNK -> copy[i] = 0; i++
		:: else -> break
		od;
		i = 0
#ifdef NO_STAMP_ACQUIRE
		;
		early = 0
#endif
	};
	goto look;
ended:
	skip
}

init {
	atomic {
		memory();
		run Writer();
		run Reader()
	}
}
