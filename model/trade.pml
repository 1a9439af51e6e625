/*
 * The trading side's two ways to hand a record over: the journal (TradeWriter, TradeReader: one writer at a time, many
 * readers) and, with -DRING, the ring of commands (Ring: one who puts, one who takes). A record that can be seen is
 * whole; no reader sleeps for ever although there is a record for it; a place of the ring is not written before it has
 * been read. docs/ordering.md, `trade head` and `ring stamp`.
 *
 * A sleep has no time limit here, so a wake-up that is lost is a reader that is blocked for ever: an invalid end state.
 * The code's sleeps have one, for a writer that is killed between its record and its wake-up.
 */
#ifdef RING
#define READERS 1
#define RECORDS 4
#define PLACES 2
#else
#define READERS 2
#define RECORDS 3
#define PLACES RECORDS
#endif

/* What stands for what: STAMP, the ring's Stamp or the journal's Head; ASLEEP, the ring's Asleep or the journal's
 * Sleepers; WAKE, either's Wake; TAKEN, the ring's Taken; WORD(s), any word of the record. */
#define STAMP 0
#define ASLEEP 1
#define WAKE 2
#define TAKEN 3
#define WORD(s) (4 + (s) % PLACES)
#define WORDS (4 + PLACES)

#define WRITER 0
#define READER(r) (1 + (r))
#define BUFFERS (1 + READERS)
#define DEPTH 2
#include "tso.pml"

bool asleep[READERS]; /* in futex_wait */

inline mark(r) {
#ifdef NO_READER_FENCE
	store(READER(r), ASLEEP, 1)
#else
	mem[ASLEEP] = 1
#endif
}

/* TradeWriter::append() and wake_readers(), Ring::put() and wake() */
proctype Writer() {
	byte sequence;
	do
	:: sequence < RECORDS ->
#if defined(RING) && !defined(NO_LOOK_AT_TAKEN)
		sequence - mem[TAKEN] < PLACES; /* the code refuses, and its caller comes again */
#endif
#ifndef STAMP_FIRST
		store(WRITER, WORD(sequence), sequence + 1);
#endif
#ifdef LOOK_BEFORE_STAMP
		if
		:: mem[ASLEEP] == 0 -> store(WRITER, STAMP, sequence + 1); goto next
		:: else
		fi;
#endif
		store(WRITER, STAMP, sequence + 1);
#ifdef STAMP_FIRST
		store(WRITER, WORD(sequence), sequence + 1);
#endif
#ifndef NO_WRITER_FENCE
		FENCE(WRITER);
#endif
		if
		:: mem[ASLEEP] != 0 ->
#ifndef RING
#ifndef MARK_CLEARED_LAST
			atomic { FENCE(WRITER) -> mem[ASLEEP] = 0 };
#endif
#endif
#ifndef WORD_KEPT
			atomic { FENCE(WRITER) -> mem[WAKE] = (mem[WAKE] + 1) & 7 };
#endif
			atomic { /* the kernel wakes all that wait there at this moment */
				asleep[0] = false;
#ifndef RING
				asleep[1] = false
#endif
			};
#ifdef MARK_CLEARED_LAST
			atomic { FENCE(WRITER) -> mem[ASLEEP] = 0 }
#endif
		:: else
		fi;
next:
		sequence++
	:: else -> break
	od
}

/* TradeReader::wait() and read(), Ring::wait(), next() and done() */
proctype Reader(byte r) {
	byte cursor, word;
look:
	if
	:: mem[STAMP] > cursor ->
#ifdef TAKEN_FIRST
		mem[TAKEN] = cursor + 1;
#endif
		assert(mem[WORD(cursor)] == cursor + 1);
		cursor++;
#if defined(RING) && !defined(TAKEN_FIRST)
		mem[TAKEN] = cursor;
#endif
		if
		:: cursor == RECORDS -> goto done
		:: else -> goto look
		fi
	:: else
	fi;
#ifndef WORD_LOADED_LATE
	word = mem[WAKE];
#endif
	mark(r);
#ifdef NO_SECOND_LOOK
	if
	:: true
#else
	if
	:: mem[STAMP] > cursor -> goto clear
	:: else
#endif
	fi;
#ifdef WORD_LOADED_LATE
	word = mem[WAKE];
#endif
	atomic { FENCE(READER(r)) -> asleep[r] = (mem[WAKE] == word) };
	!asleep[r];
clear:
#ifdef RING
	atomic { FENCE(READER(r)) -> mem[ASLEEP] = 0 };
#else
	skip;
#endif
	goto look;
done:
	skip
}

init {
	byte r;
	atomic {
		run Processor(WRITER);
		run Writer();
		for (r : 0 .. READERS - 1) {
#ifdef NO_READER_FENCE
			run Processor(READER(r));
#endif
			run Reader(r)
		}
	}
}
