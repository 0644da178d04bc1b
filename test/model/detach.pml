/* A P is taken from a goroutine behind its back, with all fences on the taker's side.
 *
 * Step for step, by the same names:
 *   internal/entry.hpp      count_in, count_out, runtime_entry
 *   preempt/attention.cpp   answer_attention, await_retake, return_from_detachment
 *   preempt/detach.cpp      take (D1 to D3), detach
 *   sched/syscall.cpp       come_back, take_idle_p, wait_for_p; sched/idle.cpp: hand_off
 *
 * One P. `thread` runs a goroutine that enters the runtime now and then and uses the P there; `sysmon` takes the P away;
 * `other` uses it when it is idle, and gives it back.
 *
 * Asserted: whoever uses the P has it to himself, and finds in it what the one before has written; inside the runtime M::p
 * stays what it is. No invalid end state: nobody waits for ever for an answer or a P.
 *
 * Memory is an amd64 CPU's: the thread's plain stores wait in its buffer; membarrier empties it, at one moment between D1
 * and D3. RELAXED_LEAVE says what weaker memory would do.
 *
 * Changes that must be found:
 *   NO_MEMBARRIER  D2 is left out
 *   NO_AWAIT       who enters does not wait for sysmon's answer
 *   LOOK_BEFORE    sysmon looks at the count only before it asks: D3 is left out
 *   ONE_BIT        the answer takes two steps: `retaking` goes before `detached` comes
 *   RELAXED_LEAVE  leaving is no release: the count is seen before what was done
 */
#ifndef ENTRIES
#define ENTRIES 3
#endif
#ifndef DETACHMENTS
#define DETACHMENTS 2
#endif

#define RETAKING 2
#define DETACHED 4

bool mu;                    /* sched.mu */
byte attention = 0;         /* M::attention */
bool has_p = true;          /* M::p of the thread */
bool m_of_p = true;         /* P::m is the thread */
bool idle = false;          /* the P is in the idle list */
bool waits_for_p = false;   /* the goroutine is in the global queue, off its thread */

byte depth = 0;             /* in memory */
byte data = 0;              /* what the P holds, in memory */
chan buffer = [3] of { mtype, byte };
mtype = { DEPTH, DATA };

byte written = 0;           /* what it should hold */
bool in_use = false;

inline lock(l) { atomic { !l -> l = true } }
inline unlock(l) { l = false }

active proctype memory() {
    byte v;
end:
    do
    :: atomic { buffer ? DEPTH, v -> depth = v; v = 0 }
    :: atomic { buffer ? DATA, v -> data = v; v = 0 }
    od
}

active proctype thread() {
    byte entries = 0;
    byte own = 0;           /* the P's data, as the thread knows them */
    byte a = 0;

    do
    :: entries == ENTRIES -> break
    :: else ->
        entries++;
        /* count_in: E1 */
        atomic { nfull(buffer) -> buffer ! DEPTH, 1 };
        /* E3; answer_attention reads again */
        a = attention;
        if
        :: a != 0 ->
#ifndef NO_AWAIT
            (attention & RETAKING) == 0;  /* await_retake */
#endif
            a = attention;
            if
            :: (a & DETACHED) != 0 ->
                atomic { empty(buffer) -> attention = attention & ~DETACHED };
                /* come_back: take_idle_p, else wait_for_p */
                atomic { empty(buffer) && !mu -> mu = true };
                if
                :: idle -> atomic { idle = false; has_p = true; m_of_p = true; mu = false }
                :: else ->
                    atomic { waits_for_p = true; mu = false };
                    atomic { !waits_for_p -> assert(has_p && m_of_p) }
                fi
            :: else
            fi
        :: else
        fi;
        /* inside: uses the P */
        assert(has_p);
        atomic { assert(!in_use); in_use = true };
        own = (buffer ?? [DATA, eval(written)] -> written : data);
        assert(own == written);
        atomic { assert(has_p); written++; nfull(buffer) };
        buffer ! DATA, written;
        atomic { assert(has_p && in_use); in_use = false };
        /* count_out */
#ifdef RELAXED_LEAVE
        atomic { !(buffer ?? [DEPTH, 1]) -> depth = 0; a = 0; own = 0 }
#else
        atomic { nfull(buffer) -> buffer ! DEPTH, 0; a = 0; own = 0 }
#endif
    od;
    /* the goroutine computes, or sleeps in the kernel */
end_computes:
    false
}

active proctype sysmon() {
    byte detachments = 0;
    bool outside;

end:
    do
    :: detachments < DETACHMENTS ->
        lock(mu);
        /* take */
        outside = m_of_p;
        if
        :: outside -> outside = (depth == 0)
        :: else
        fi;
        if
        :: outside ->
            attention = attention | RETAKING;    /* D1 */
#ifndef NO_MEMBARRIER
            empty(buffer);                       /* D2 */
#endif
#ifndef LOOK_BEFORE
            outside = (depth == 0);              /* D3 */
#endif
            outside = outside && m_of_p && has_p;
            if
            :: !outside -> attention = attention & ~RETAKING
            :: else ->
                has_p = false;
                m_of_p = false;
#ifdef ONE_BIT
                attention = attention & ~RETAKING;
                attention = attention | DETACHED
#else
                attention = attention & ~RETAKING | DETACHED
#endif
            fi
        :: else
        fi;
        unlock(mu);
        if
        :: outside ->
            detachments++;
            outside = false;
            /* hand_off */
            lock(mu);
            idle = true;
            unlock(mu)
        :: else
        fi
    od
}

/* Any thread that finds the P idle, and hands it over to a goroutine that waits for one. */
active proctype other() {
end:
    do
    :: atomic { idle && !mu -> mu = true };
        if
        :: idle ->
            atomic { idle = false; mu = false };
            atomic { assert(!in_use); in_use = true };
            assert(data == written);
            in_use = false;
            lock(mu);
            if
            :: waits_for_p -> atomic { has_p = true; m_of_p = true; waits_for_p = false }
            :: else -> idle = true
            fi;
            unlock(mu)
        :: else -> unlock(mu)
        fi
    od
}
