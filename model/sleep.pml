/*
 * Sleep and wake: no reader sleeps although there is something for it to read, the log has ended or its queue is
 * closed. docs/ordering.md, `sleep` and "Sleep and wake".
 *
 * A sleep has no time limit here, but for the two that docs/ordering.md names: a reader that may not make the barrier,
 * and one whom a writer was just waking when it was killed. So a wake-up that is lost is a reader that is blocked for
 * ever, and spin reports that as an invalid end state.
 *
 * The stamps are one word, the newest stamp: a slot's stamp is beyond a cursor as soon as that is. HEAD is Head.
 */
#ifdef TWO_READERS /* for two readers: no queue is closed, everybody may make the barrier */
#define READERS 2
#else
#define READERS 1
#endif
#ifndef RECORDS
#define RECORDS 2
#endif

#define STAMP 0
#define HEAD 1
#define CLOSED 2
#define SLEEPERS 3
#define SLEEP_BARRIER 4
#define PLACE 5 /* of reader 0; 1: its queue is closed */
#define SLEEP(r) (6 + (r))
#define WORDS (6 + READERS)

#define WRITER 0
#define ENDER 1
#define MAKER 2
#define READER 3
#define BUFFERS 4
#define DEPTH 2
/* The last record is wanted and its writer lives: whom a killed writer did not wake, the next record wakes. */
#define MAY_BE_KILLED (sequence + 1 < RECORDS)
#include "tso.pml"

#define BIT(r) (1 << (r))

bool asleep[READERS];  /* in futex_wait */
bool limited[READERS]; /* its sleep has a time limit */
byte due[READERS];     /* it has to read the records below, the last of them is one that it wants */
bool written, ended, retired; /* what the writer, the ender, the maker may do is done */

#define AT_REST (written && ended && retired && empty(buffer[WRITER]))
#define RETIRED(r) (r == 0 && mem[PLACE] == 1)

/* A compare-and-swap from odd to even. Four values are enough: between a reader's announcement and its futex_wait
 * the word changes once at most. */
#define TO_EVEN(r) \
	if \
	:: (mem[SLEEP(r)] & 1) != 0 -> mem[SLEEP(r)] = (mem[SLEEP(r)] + 1) & 3; woke = true \
	:: else -> woke = false \
	fi

#define OR_KILLED_WAKING(r)
#ifdef KILLS
#undef OR_KILLED_WAKING
#define OR_KILLED_WAKING(r) \
	:: atomic { \
			MAY_BE_KILLED && kills > 0 -> \
			kills--; \
			limited[r] = asleep[r] || (mem[SLEEP(r)] & 1) != 0; \
			goto killed \
		}
#endif

/* wake_reader() */
inline wake_by_writer(r) {
	if
	:: atomic { FENCE(WRITER) -> TO_EVEN(r) }
	OR_KILLED_WAKING(r)
	fi;
	if
	:: woke ->
		if
		:: asleep[r] = false
		OR_KILLED_WAKING(r)
		fi
	:: else
	fi
}

inline wake(p, r) {
	atomic { FENCE(p) -> TO_EVEN(r) };
	if
	:: woke -> asleep[r] = false
	:: else
	fi
}

inline clear_bit(r) {
	if
	:: atomic { FENCE(WRITER) -> mem[SLEEPERS] = mem[SLEEPERS] & ~BIT(r) }
	OR_KILLED
	fi
}

inline tell_barrier() {
	if
	:: atomic { FENCE(WRITER) -> mem[SLEEP_BARRIER] = !own_barrier }
	OR_KILLED
	fi
}

/* Writer::open(), recover(), finish(), wake_sleepers() */
proctype Writer() {
	byte sequence, bits, wanted, r;
	bool own_barrier, woke;
#ifdef KILLS
	goto open;
killed: /* the kernel ends a process behind a barrier; then there is another writer */
	FENCE(WRITER);
	d_step { bits = 0; wanted = 0; r = 0; woke = false };
open:
#endif
#ifndef TWO_READERS
	if /* refused to this process? The next one may be told otherwise. */
	:: own_barrier = true
	:: own_barrier = false
	fi;
#endif
#ifndef BARRIER_TOLD_LATE
	tell_barrier();
#endif
#ifdef KILLS
	sequence = mem[HEAD];
	if
	:: mem[STAMP] == sequence + 1 -> sequence++; store(WRITER, HEAD, sequence)
	:: else
	fi;
#endif
	do
	:: sequence < RECORDS ->
		atomic { /* Want, EventWant, Skip: a reader that does not want the record is left asleep, its bit stays */
			if
			:: sequence + 1 < RECORDS -> select (wanted : 0 .. BIT(READERS) - 1)
			:: else -> wanted = BIT(READERS) - 1
			fi
		};
#ifdef LOOK_BEFORE_HEAD
		bits = mem[SLEEPERS];
#endif
		if
		:: atomic {
				nfull(buffer[WRITER]) ->
				buffer[WRITER] ! STAMP, sequence + 1;
				do
				:: r < READERS ->
					if
					:: wanted & BIT(r) -> due[r] = sequence + 1
					:: else
					fi;
					r++
				:: else -> break
				od;
				r = 0
			}
		OR_KILLED
		fi;
		store(WRITER, HEAD, sequence + 1);
#if !defined(NO_WRITER_FENCE) && !defined(TWO_READERS)
		if
		:: own_barrier -> FENCE(WRITER)
		:: else
		fi;
#endif
#ifndef LOOK_BEFORE_HEAD
		if
		:: bits = mem[SLEEPERS]
		OR_KILLED
		fi;
#endif
		if
		:: bits != 0 ->
			bits = mem[SLEEPERS] & wanted;
			do
			:: r < READERS ->
				if
				:: bits & BIT(r) ->
#ifdef WAKE_BEFORE_BIT
					wake_by_writer(r);
					clear_bit(r)
#else
					clear_bit(r);
					wake_by_writer(r)
#endif
				:: else
				fi;
				r++
			:: else -> break
			od
		:: else
		fi;
#ifdef BARRIER_TOLD_LATE
		tell_barrier();
#endif
		atomic { bits = 0; wanted = 0; r = 0; woke = false; sequence++ }
	:: else -> break
	od;
	FENCE(WRITER);
	written = true
}

/* end_log(), when all is written, or nobody ends the log. */
proctype Ender() {
	byte r;
	bool woke;
	written;
	if
	:: ended = true; goto done
	:: skip
	fi;
#ifdef ENDER_LOOKS_FIRST
	wake(ENDER, 0);
	mem[CLOSED] = 1;
#else
#ifdef CLOSED_PLAIN
	buffer[ENDER] ! CLOSED, 1;
	woke = (mem[SLEEP(0)] & 1) != 0; /* the load may pass the store, and nothing more is done when it is even */
	if
	:: !woke -> ended = true; goto done
	:: else
	fi;
#else
	mem[CLOSED] = 1;
#endif
	do
	:: r < READERS -> wake(ENDER, r); r++
	:: else -> break
	od;
#endif
	ended = true;
done:
	skip
}

#ifndef TWO_READERS
/* retire_queue(), leave(): the first reader's queue is closed at any time, or never. */
proctype Maker() {
	bool woke;
	if
	:: retired = true; goto done
	:: skip
	fi;
#ifdef PLACE_PLAIN
	buffer[MAKER] ! PLACE, 1;
	woke = (mem[SLEEP(0)] & 1) != 0;
	if
	:: !woke -> retired = true; goto done
	:: else
	fi;
#else
	mem[PLACE] = 1;
#endif
	wake(MAKER, 0);
	retired = true;
done:
	skip
}
#endif

/* Reader::look(), wait(), sleep() */
proctype Reader(byte r) {
	byte cursor, word, a, v;
	bool refused, news;
#ifndef TWO_READERS
	if /* its process may not make the barrier */
	:: refused = true
	:: refused = false
	fi;
#endif
look:
	if
	:: RETIRED(r) -> goto leave
	:: else
	fi;
	if
	:: mem[STAMP] > cursor -> cursor++; goto look
	:: else
	fi;
	if
	:: mem[CLOSED] == 1 -> /* ended() */
		if
		:: mem[STAMP] > cursor -> goto look
		:: else -> assert(cursor == RECORDS); goto leave
		fi
	:: else
	fi;
	d_step { mem[SLEEP(r)] = mem[SLEEP(r)] | 1; word = mem[SLEEP(r)] };
#ifndef BIT_AFTER_LOOK
#ifdef NO_READER_FENCE
	buffer[READER] ! SLEEPERS, (mem[SLEEPERS] | BIT(r));
#else
	mem[SLEEPERS] = mem[SLEEPERS] | BIT(r);
#endif
#endif
#ifndef NO_BARRIER
	if
	:: mem[SLEEP_BARRIER] == 1 ->
		if
		:: !refused -> barrier_all(WRITER); FENCE(READER)
#ifdef NO_TIME_LIMIT
		:: else
#elif !defined(TWO_READERS)
		:: else -> limited[r] = true
#endif
		fi
	:: else
	fi;
#endif
#ifdef NO_SECOND_LOOK
	news = false;
#else
	news = mem[STAMP] > cursor;
	news = news || mem[HEAD] > cursor;
#ifndef NO_LOOK_AT_CLOSED
	news = news || mem[CLOSED] == 1;
#endif
#ifndef NO_LOOK_AT_PLACE
	news = news || RETIRED(r);
#endif
#endif
#ifdef BIT_AFTER_LOOK
	mem[SLEEPERS] = mem[SLEEPERS] | BIT(r);
#endif
	if
	:: !news ->
#ifdef WORD_NOT_COMPARED
		atomic { FENCE(READER) -> asleep[r] = true };
#else
		atomic { FENCE(READER) -> asleep[r] = (mem[SLEEP(r)] == word) };
#endif
		if
		:: !asleep[r] || limited[r]
		:: AT_REST && asleep[r] && !limited[r] && cursor >= due[r] && mem[CLOSED] == 0 && !RETIRED(r) -> goto done
		fi
	:: else
	fi;
	d_step { asleep[r] = false; limited[r] = false; news = false; word = 0 };
	atomic { FENCE(READER) -> mem[SLEEPERS] = mem[SLEEPERS] & ~BIT(r) };
	d_step { mem[SLEEP(r)] = (mem[SLEEP(r)] + (mem[SLEEP(r)] & 1)) & 3 };
	goto look;
leave:
done:
	skip
}

init {
	byte r;
	atomic {
		run Processor(WRITER);
		run Writer();
#ifdef TWO_READERS
		retired = true;
#else
		run Maker();
#endif
		run Ender();
#if defined(CLOSED_PLAIN)
		run Processor(ENDER);
#elif defined(PLACE_PLAIN)
		run Processor(MAKER);
#elif defined(NO_READER_FENCE)
		run Processor(READER);
#endif
		for (r : 0 .. READERS - 1) { run Reader(r) }
	}
}
