/*
 * The sequence locks: status, bind (with CLOSER: a queue closed while it is bound), clock anchor and clock check.
 * docs/ordering.md has a section for each. The saved table's lock is in saved.pml.
 *
 * Two words, so that a mixture shows: each is the number of the round that wrote it.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define VERSION 0
#define FIRST 1
#define SECOND 2
#define WORDS 3
#include "memory.pml"

#ifdef NO_LAST_RELEASE
#define last_store store
#else
#define last_store release_store
#endif

byte rounds = ROUNDS;
bool written; /* all rounds are */
#ifdef CLOSER
bool closed;
#define AT_REST (written && closed)
#else
#define AT_REST written
#endif

/* set_status(), bind_queue(), Clock::publish(). One at a time; who comes after a dead one finds an odd version. */
proctype Writer() {
	byte round, version;
#ifdef KILLS
	goto next;
killed: /* the next one has something of its own to write */
	ALL_OF_THE_DEAD;
	rounds = round + 1;
next:
#endif
	do
	:: round < rounds ->
		round++;
		VISIBLE; /* it loads its own last store */
#if defined(CLOSER) && !defined(VERSION_LOADED_THEN_STORED)
		if
		:: d_step { version = mem[VERSION] | 1; mem[VERSION] = version } /* fetch_or */
		OR_KILLED
		fi;
#else
#ifdef NO_REPAIR
		version = mem[VERSION] + 1;
#else
		version = mem[VERSION] | 1;
#endif
		store(VERSION, version);
#endif
#ifndef NO_RELEASE_FENCE
		VISIBLE;
#endif
		store(FIRST, round);
		store(SECOND, round);
		last_store(VERSION, version + 1)
	:: else -> break
	od;
	VISIBLE;
	written = true
}

#ifdef CLOSER
/* The end of retire_queue(). By two: the version stays odd under a binder's hands. */
proctype Closer() {
	mem[VERSION] = mem[VERSION] + 2;
	closed = true
}
#endif

/* get_status(), read_binding(), Clock::now() */
proctype Reader() {
	byte version, first, second, last, again;
	bool final;
look:
	final = AT_REST;
#ifdef NO_ACQUIRE
	first = mem[FIRST];
	version = mem[VERSION];
#else
	version = mem[VERSION];
	first = mem[FIRST];
#endif
#ifdef NO_ACQUIRE_FENCE
	again = mem[VERSION];
	second = mem[SECOND];
#else
	second = mem[SECOND];
	again = mem[VERSION];
#endif
	if
#ifdef NO_LOOK_AT_ODD
	:: again == version ->
#elif defined(NO_SECOND_LOOK)
	:: (version & 1) == 0 ->
#else
	:: (version & 1) == 0 && again == version ->
#endif
		assert(first == second); /* not a mixture */
		assert(first >= last);   /* and none older than the one before */
		last = first
	:: else -> assert(!final) /* when nobody writes, the first look succeeds: who was killed has been repaired */
	fi;
	atomic {
		version = 0; first = 0; second = 0; again = 0;
		if
		:: final -> assert(last == rounds); goto done
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
#ifdef CLOSER
		run Closer();
#endif
		run Reader()
	}
}
