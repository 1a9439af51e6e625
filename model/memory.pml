/*
 * Memory that keeps no order by itself: weaker than x86-64, as the C++ language has it for relaxed stores. A store
 * waits in `late` and becomes visible at any time later, in any order with those of other words. A release store
 * becomes visible after all that were made before it; what is made after it may still pass it. A release fence is
 * passed when nothing waits any more.
 *
 * Only for a writer that loads nothing which others store: waiting at a fence would hide that a load may pass a store.
 * Models in which that matters use tso.pml. A load that may be made too early is written out where a mutant takes the
 * acquire away.
 *
 * A file that includes this one defines WORDS, and if it defines KILLS, a label `killed`.
 */
byte mem[WORDS];
byte late[WORDS];   /* the value + 1; 0: nothing waits */
short after[WORDS]; /* a release store: the words that become visible first, one bit each */
short waiting;      /* the words that wait, one bit each */

#define BIT(a) (1 << (a))
#define VISIBLE (waiting == 0)

#ifdef KILLS
byte kills = KILLS;
/* Killed before this store, as long as there are kills left. */
#define OR_KILLED :: atomic { kills > 0 -> kills--; goto killed }
/* The kernel ends a process behind a barrier: what it has stored is visible. Its successor begins then. */
#define ALL_OF_THE_DEAD VISIBLE
#else
#define OR_KILLED
#endif

inline store(a, v) {
	if
	:: atomic { late[a] == 0 -> late[a] = v + 1; waiting = waiting | BIT(a) }
	OR_KILLED
	fi
}

inline release_store(a, v) {
	if
	:: atomic { late[a] == 0 -> late[a] = v + 1; after[a] = waiting; waiting = waiting | BIT(a) }
	OR_KILLED
	fi
}

proctype Visible(byte a) {
	byte w;
end:
	do
	:: d_step {
			late[a] != 0 && after[a] == 0 ->
			mem[a] = late[a] - 1;
			late[a] = 0;
			waiting = waiting & ~BIT(a);
			for (w : 0 .. WORDS - 1) { after[w] = after[w] & ~BIT(a) }
			w = 0
		}
	od
}

inline memory() {
	byte w;
	for (w : 0 .. WORDS - 1) { run Visible(w) }
}
