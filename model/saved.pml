/*
 * The saved table: the newest tick of an instrument can be read whole at any time, also when the ring has passed it,
 * also while the writer moves it, also when the writer was killed at that. docs/ordering.md, `saved`, `overwrite` and
 * "A dead writer's successor".
 *
 * One instrument with an entry; a record of any other has none to save. A record's word is its sequence + 1 and the
 * attempt to write it.
 */
#ifndef RECORDS
#define RECORDS 4
#endif
#define CAPACITY 2
#define SLOT(s) ((s) % CAPACITY)
#define STAMP(s) SLOT(s)
#define WORD(s) (CAPACITY + SLOT(s))
#define HEAD (2 * CAPACITY)
#define LATEST (HEAD + 1)
#define SAVED_STAMP (HEAD + 2)
#define SAVED (HEAD + 3)
#define WORDS (HEAD + 4)
#include "memory.pml"

bool ours[RECORDS];
byte content[RECORDS]; /* the record's word when it is whole */
bool written;

/* The writer's own view of a word: what it stored last. */
inline load_own(to, a) {
	if
	:: late[a] != 0 -> to = late[a] - 1
	:: else -> to = mem[a]
	fi
}

#ifdef NO_SAVED_RELEASE
#define saved_store store
#else
#define saved_store release_store
#endif

/* Writer::save_before_overwritten(), save() */
inline save(head) {
	if
	:: head >= CAPACITY && ours[head - CAPACITY] ->
		d_step {
			load_own(latest, LATEST);
			load_own(stamp, STAMP(head));
			load_own(word, WORD(head));
			load_own(saved, SAVED_STAMP)
		};
		if
#ifdef MOVED_AGAIN
		:: latest == stamp ->
#else
		:: latest == stamp && saved != stamp ->
#endif
#ifndef NO_ZERO
			store(SAVED_STAMP, 0);
#endif
#ifndef NO_SAVED_RELEASE_FENCE
			VISIBLE;
#endif
			store(SAVED, word);
			saved_store(SAVED_STAMP, stamp)
		:: else
		fi;
		d_step { latest = 0; stamp = 0; word = 0; saved = 0 }
	:: else
	fi
}

proctype Writer() {
	byte s, attempt;
	byte latest, stamp, word, saved; /* of save() */
#ifdef KILLS
	goto publish;
killed:
	ALL_OF_THE_DEAD;
	if
	:: goto at_rest /* nobody comes after it */
	:: skip
	fi;
	atomic { /* recover() */
		attempt = 16;
		s = mem[HEAD];
		if
		:: s < RECORDS && mem[STAMP(s)] == s + 1 -> s++
		:: else
		fi
	};
	if
	:: s > 0 && ours[s - 1] -> store(LATEST, s)
	:: else
	fi;
	save(s);
	release_store(HEAD, s);
publish:
#endif
	do
	:: s < RECORDS ->
		VISIBLE; /* begin() */
		atomic {
			if
			:: ours[s] = true
			:: ours[s] = false
			fi;
			content[s] = attempt + s + 1
		};
		store(WORD(s), content[s]);
		release_store(STAMP(s), s + 1);
		if
		:: ours[s] -> store(LATEST, s + 1)
		:: else
		fi;
#ifndef HEAD_BEFORE_SAVED
		save(s + 1);
#endif
		release_store(HEAD, s + 1);
#ifdef HEAD_BEFORE_SAVED
		save(s + 1);
#endif
		s++
	:: else -> break
	od;
at_rest:
	VISIBLE;
	written = true
}

/* read_one(): a copy of the record `stamp` - 1 in `word`. */
inline read_one() {
	head = mem[HEAD];
	if
	:: head >= CAPACITY && stamp - 1 < head - CAPACITY + 1 -> whole = false
	:: else ->
		if
		:: stamp - 1 >= head && mem[STAMP(stamp - 1)] != stamp -> whole = false
		:: else ->
#ifdef NO_OVERWRITE_ACQUIRE
			head = mem[HEAD];
			word = mem[WORD(stamp - 1)];
#else
			word = mem[WORD(stamp - 1)];
			head = mem[HEAD];
#endif
			whole = (head < CAPACITY || stamp - 1 >= head - CAPACITY + 1)
		fi
	fi
}

/* read_latest(), again and again */
proctype Reader() {
	byte stamp, saved, word, head, last;
	bool whole, final;
look:
	final = written;
	stamp = mem[LATEST];
	if
	:: stamp == 0 -> goto next /* no tick of it yet */
	:: else
	fi;
	read_one();
	if
	:: whole -> goto read
	:: else
	fi;
#ifdef NO_SAVED_ACQUIRE
	word = mem[SAVED];
#endif
	saved = mem[SAVED_STAMP];
	if
	:: saved == stamp ->
#ifndef NO_SAVED_ACQUIRE
#ifdef NO_SAVED_ACQUIRE_FENCE
		whole = (mem[SAVED_STAMP] == saved);
		word = mem[SAVED];
#else
		word = mem[SAVED];
		whole = (mem[SAVED_STAMP] == saved);
#endif
#else
		whole = (mem[SAVED_STAMP] == saved);
#endif
#ifdef NO_SECOND_LOOK
		whole = true;
#endif
		if
		:: whole -> goto read
		:: else
		fi
	:: else
	fi;
	assert(!final); /* it is always in one of the two places */
	goto next;
read:
	assert(word == content[stamp - 1]);
	assert(stamp >= last); /* not older than what was read before */
	last = stamp;
next:
	atomic {
		stamp = 0; saved = 0; word = 0; head = 0; whole = false;
		if
		:: final -> goto done
		:: else -> goto look
		fi
	};
done:
	skip
}

init {
	atomic {
		memory();
		run Writer();
		run Reader()
	}
}
