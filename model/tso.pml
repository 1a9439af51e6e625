/*
 * Memory as x86-64 has it (x86-TSO): a plain store goes into the processor's store buffer and becomes visible some
 * time later, in the order of the stores. A load looks at memory, so it may pass an earlier store. A locked
 * instruction, a full fence and an entry into the kernel wait until the own buffer is empty.
 *
 * A load does not look into its own buffer here: nobody in these models loads a word that he has stored plainly.
 *
 * A file that includes this one defines WORDS, BUFFERS and DEPTH, and if it defines KILLS, a label `killed`.
 */
byte mem[WORDS];
chan buffer[BUFFERS] = [DEPTH] of { byte, byte };

#define FENCE(p) empty(buffer[p])

#ifdef KILLS
byte kills = KILLS;
#define OR_KILLED :: atomic { MAY_BE_KILLED && kills > 0 -> kills--; goto killed }
#else
#define OR_KILLED
#endif

inline store(p, a, v) {
	if
	:: buffer[p] ! a, v
	OR_KILLED
	fi
}

proctype Processor(byte p) {
	byte a, v;
end:
	do
	:: atomic { buffer[p] ? a, v -> mem[a] = v; a = 0; v = 0 }
	od
}

/* What membarrier does to a thread of a registered process: its buffer is emptied while the caller waits. */
inline barrier_all(p) {
	atomic {
		do
		:: buffer[p] ? a, v -> mem[a] = v
		:: empty(buffer[p]) -> break
		od;
		a = 0; v = 0
	}
}
