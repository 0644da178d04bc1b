/* No wake-up is lost: the argument at the head of runtime/src/sched/idle.cpp.
 *
 * Step for step, by the same names:
 *   idle.cpp       idle_p_put, idle_p_get, wake (sched.hpp: should_wake), wake_slow, start_m, stop_m, hand_off
 *   schedule.cpp   run_queue_put, steal, found_work, recheck, find_runnable, global_put, spread
 *   syscall.cpp    enter_blocking, come_back, wait_for_p
 *   runq.cpp       empty
 *
 * NM threads share NP Ps. A goroutine readies others (into runnext, which kicks the one in it into the ring), goes into
 * blocking() and perhaps comes back, ends, or computes for ever: then nobody but another thread gets what lies in its P's queue. A thread that is
 * not ours puts goroutines into the global queue.
 *
 * Asserted: when nothing moves any more, no goroutine lies in a queue while a P is idle; nobody counts as spinning; the
 * count of idle Ps is right. And no invalid end state: nobody waits but who sleeps or computes.
 *
 * Memory is an amd64 CPU's: a plain store waits in its thread's buffer, which what is locked empties. What is done under
 * sched.mu is one step: each such section has at most one effect that is seen without the lock.
 *
 * The owner of a P is not off its CPU while it holds goroutines that are in no queue:
 *   kicked from runnext, to be pushed into the ring: for 50 us, in which a thief takes what is in runnext now. The push is a
 *   plain store, which others see a little later than the pusher sees that somebody looks for work (STALLED_KICK)
 *   a batch of the global queue, to be pushed into the ring: for so long that a thread wakes up, looks everywhere, and goes
 *   to sleep again (STALLED_SPREAD)
 * Else an idle P is not used until sysmon looks. Fences and another look at each push would exclude it, at 7 ns.
 *
 * Left out: skip_wake (a bet: it may lose a wake-up, sysmon looks after it), the poller, deadlines, stopping the world, a
 * thread that cannot be made, claims of runnext (runnext.py; here a theft from it is one step). More threads than NM are not
 * made: who needs one waits until one goes to sleep.
 *
 * Changes that must be found:
 *   NO_FENCE      runnext is filled by a plain store
 *   NO_RECHECK    find_runnable gives up without another look
 *   LOOK_FIRST    ... looks before it stops spinning
 *   SPINNERS_ONLY ... and only who has spun looks again
 *   NO_RING_LOOK  ... at the global queue alone
 *   LET_GO_LATE   wake_slow, without a P to be had, stops spinning after it has released sched.mu
 *   STALLED_KICK, STALLED_SPREAD   see above
 *   NO_HAND_LOOK  hand_off does not look again
 */
#ifndef NP
#define NP 2
#endif
#ifndef NM
#define NM 3
#endif
#ifndef READIED
#define READIED 2
#endif
#ifndef BLOCKING
#define BLOCKING 1
#endif
#ifndef FOREIGN
#define FOREIGN 1
#endif
#define NONE 255

byte idle_p_count = NP - 1;
byte spinning = 0;
bool idle_p[NP];              /* sched.idle_ps; taken from in any order */
bool idle_m[NM];              /* sched.idle_ms */
byte next_p[NM] = NONE;       /* M::next_p */
bool m_spinning[NM];          /* M::spinning */
bool parked[NM];              /* M::parked: woken */
byte global_size = 0;

byte head[NP], tail[NP];      /* the rings, in memory */
bool next[NP];                /* runnext, in memory */
byte own_tail[NP];            /* as its owner has written it */
bool own_next[NP];
byte owner[NP] = NONE;        /* P::m */
bool kicks[NP];               /* its owner holds what it has kicked from runnext, and has not pushed it yet */

byte to_ready = READIED;      /* what goroutines will do yet, all of them together */
byte to_block = BLOCKING;
byte to_come = FOREIGN;

/* ---- memory ------------------------------------------------------------------------------------- */

#define TAIL 0
#define NEXT 1
chan buffer[NM + 1] = [3] of { byte, byte, byte };  /* which word, of which P, value */

#define fenced(t) empty(buffer[t])

active proctype memory() {
    byte p, v;
end:
    do
    :: atomic { buffer[0] ? TAIL, p, v -> tail[p] = v }
    :: atomic { buffer[0] ? NEXT, p, v -> next[p] = v }
    :: atomic { buffer[1] ? TAIL, p, v -> tail[p] = v }
    :: atomic { buffer[1] ? NEXT, p, v -> next[p] = v }
#if NM > 2
    :: atomic { buffer[2] ? TAIL, p, v -> tail[p] = v }
    :: atomic { buffer[2] ? NEXT, p, v -> next[p] = v }
#endif
#if NM > 3
    :: atomic { buffer[3] ? TAIL, p, v -> tail[p] = v }
    :: atomic { buffer[3] ? NEXT, p, v -> next[p] = v }
#endif
    od
}

/* An owner reads its own stores at once. */
#define sees_next(t, q) ((buffer[t] ?? [NEXT, q, 0] || buffer[t] ?? [NEXT, q, 1]) -> own_next[q] : next[q])

/* ---- idle.cpp ----------------------------------------------------------------------------------- */

inline idle_p_put(q) {
    idle_p[q] = true;
    idle_p_count++
}

inline idle_p_get(q) {
    if
    :: idle_p[0] -> q = 0
#if NP > 1
    :: idle_p[1] -> q = 1
#endif
    :: else -> q = NONE
    fi;
    if
    :: q != NONE -> idle_p[q] = false; idle_p_count--
    :: else
    fi
}

inline start_m(t, q, spins) {
    atomic {
        fenced(t) && (idle_m[0] || idle_m[1]
#if NM > 2
            || idle_m[2]
#endif
#if NM > 3
            || idle_m[3]
#endif
        ) ->
        s = 0;
        do
        :: idle_m[s] -> break
        :: else -> s++
        od;
        idle_m[s] = false;
        next_p[s] = q;
        m_spinning[s] = spins
    };
    atomic { parked[s] = true; s = 0 }
}

inline wake_slow(t) {
    atomic {
        fenced(t) ->
        if
        :: spinning == 0 -> spinning = 1; got = true
        :: else -> got = false
        fi
    };
    if
    :: got ->
        atomic {
            fenced(t) ->
            idle_p_get(w);
#ifndef LET_GO_LATE
            if
            :: w == NONE -> spinning--
            :: else
            fi
#endif
        };
        if
        :: w == NONE ->
#ifdef LET_GO_LATE
            atomic { fenced(t) -> spinning--; w = 0; got = false }
#else
            atomic { w = 0; got = false }
#endif
        :: else -> start_m(t, w, true); atomic { w = 0; got = false }
        fi
    :: else
    fi
}

inline wake(t) {
    if
    :: idle_p_count == 0
    :: else ->
        if
        :: spinning != 0
        :: else -> wake_slow(t)
        fi
    fi
}

/* runq.cpp: tail, head and runnext are not read at one moment. */
inline empty_queue(q, result) {
    do
    :: h = head[q];
        n = tail[q];
        result = !next[q];
        if
        :: atomic { n == tail[q] -> result = result && h == n; h = 0; n = 0; break }
        :: else
        fi
    od
}

/* ---- schedule.cpp ------------------------------------------------------------------------------- */

inline push(t, q) {
    atomic {
        nfull(buffer[t]) ->
        own_tail[q]++;
        buffer[t] ! TAIL, q, own_tail[q]
    }
}

/* Only what has lain in it for 50 us. */
#ifdef STALLED_KICK
#define may_steal_next(q) true
#else
#define may_steal_next(q) !kicks[q]
#endif

/* run_queue_put(p, g, true) */
inline exchange_next(t, q) {
#ifdef NO_FENCE
    atomic {
        nfull(buffer[t]) ->
        got = sees_next(t, q);
        own_next[q] = true;
        buffer[t] ! NEXT, q, 1
    };
#else
    atomic {
        fenced(t) ->
        got = next[q];
        own_next[q] = true;
        next[q] = true;
        kicks[q] = got
    };
#endif
    if
    :: got -> push(t, q); atomic { got = false; kicks[q] = false }
    :: else
    fi
}

inline found_work(t) {
    m_spinning[t] = false;
    atomic { fenced(t) -> spinning-- };
    wake(t)
}

inline acquire_p(t, q) {
    p = q;
    owner[q] = t;
    own_next[q] = next[q]
}

/* found: it has a P again. */
inline recheck(t) {
    found = false;
    atomic {
        fenced(t) ->
        n = NONE;
        if
        :: global_size != 0 ->
            idle_p_get(w);
            if
            :: w != NONE -> acquire_p(t, w); found = true
            :: else
            fi
        :: else -> n = 0
        fi
    };
#ifndef NO_RING_LOOK
    if
    :: n == 0 ->
        i = 0;
        do
        :: i == NP -> break
        :: else ->
            empty_queue(i, got);
            if
            :: !got ->
                atomic {
                    fenced(t) ->
                    idle_p_get(w);
                    if
                    :: w != NONE -> acquire_p(t, w); found = true
                    :: else
                    fi
                };
                break
            :: else -> i++
            fi
        od
    :: else
    fi;
#endif
    atomic { i = 0; n = 0; w = 0; got = false }
}

proctype M(byte m; byte first) {
    byte p = first;           /* M::p */
    byte w, s, i, h, n;
    bool got, found;
    if
    :: p != NONE -> goto goroutine
    :: else -> goto stopped
    fi;

schedule:
    /* find_runnable */
    atomic {
        p != NONE ->
        if
        :: sees_next(m, p) && nfull(buffer[m]) ->
            own_next[p] = false;
            buffer[m] ! NEXT, p, 0;
            goto execute
        :: !sees_next(m, p)
        fi
    };
    atomic {
        if
        :: own_tail[p] != head[p] && fenced(m) -> head[p]++; goto execute
        :: own_tail[p] == head[p]
        fi
    };
    if
    :: global_size != 0 ->
        atomic {
            fenced(m) ->
            n = (global_size == 0 -> 0 : global_size / NP + 1);
            n = (n > global_size -> global_size : n);
            global_size = global_size - n;
#ifndef STALLED_SPREAD
            if
            :: n > 1 ->
                own_tail[p] = own_tail[p] + n - 1;  /* spread */
                tail[p] = own_tail[p];
                n = 1
            :: else
            fi
#endif
        };
        if
        :: n != 0 ->
#ifdef STALLED_SPREAD
            do
            :: n == 1 -> break
            :: else -> push(m, p); n--
            od;
#endif
            atomic { n = 0; goto execute }
        :: else
        fi
    :: else
    fi;
    if
    :: m_spinning[m] || 2 * spinning < NP - idle_p_count ->
        if
        :: !m_spinning[m] ->
            m_spinning[m] = true;
            atomic { fenced(m) -> spinning++ }
        :: else
        fi;
        /* steal: half of a ring, or runnext, which its owner may be faster with */
        i = 0;
        do
        :: atomic { i == NP -> i = 0; break }
        :: i == p -> i++
        :: i != NP && i != p ->
            atomic {
                fenced(m) ->
                n = tail[i] - head[i];
                n = n - n / 2;
                head[i] = head[i] + n
            };
            if
            :: n != 0 ->
                do
                :: atomic { n == 1 -> n = 0; i = 0; goto execute }
                :: else -> push(m, p); n--
                od
            :: else
            fi;
            atomic {
                if
                :: next[i] && may_steal_next(i) && (owner[i] == NONE || fenced(owner[i])) && fenced(m) -> next[i] = false; i = 0; goto execute
                :: true -> i++
                fi
            }
        od
    :: else
    fi;
    atomic {
        fenced(m) ->
        if
        :: global_size != 0 -> global_size--; goto execute
        :: else -> owner[p] = NONE; idle_p_put(p); p = NONE
        fi
    };
#ifdef LOOK_FIRST
    recheck(m);
    if
    :: found && m_spinning[m] -> goto schedule
    :: found -> goto spin_again
    :: else
    fi;
    if
    :: m_spinning[m] -> m_spinning[m] = false; atomic { fenced(m) -> spinning-- }
    :: else
    fi;
    goto stop;
spin_again:
    m_spinning[m] = true;
    atomic { fenced(m) -> spinning++ };
    goto schedule;
#else
    found = m_spinning[m];
    if
    :: m_spinning[m] -> m_spinning[m] = false; atomic { fenced(m) -> spinning-- }
    :: else
    fi;
#ifdef NO_RECHECK
    found = false;
#else
#ifdef SPINNERS_ONLY
    if
    :: found -> recheck(m)
    :: else
    fi;
#else
    recheck(m);
#endif
#endif
    if
    :: found ->
        atomic { m_spinning[m] = true; found = false };
        atomic { fenced(m) -> spinning++ };
        goto schedule
    :: else
    fi;
    goto stop;
#endif

execute:
    if
    :: m_spinning[m] -> found_work(m)
    :: else
    fi;

goroutine:
    do
    :: atomic { to_ready > 0 -> to_ready-- };
        exchange_next(m, p);
        wake(m)
    :: atomic { to_block > 0 -> to_block-- };
        goto blocking
    :: goto schedule
    :: true -> break
    od;
end_computes:
    false;

blocking:
    /* hand_off(release_p(m)): its queues first, not at one moment */
    w = p;
    p = NONE;
    owner[w] = NONE;
    if
    :: sees_next(m, w) || own_tail[w] != head[w] || global_size != 0 -> start_m(m, w, false)
    :: else ->
        atomic { fenced(m) -> idle_p_put(w) };
#ifndef NO_HAND_LOOK
        found = (global_size != 0);
        i = 0;
        do
        :: found || i == NP -> break
        :: else -> empty_queue(i, got); found = !got; i++
        od;
        if
        :: found -> wake(m)
        :: else
        fi;
        atomic { i = 0; found = false; got = false }
#endif
    fi;
    w = 0;
    if
    :: goto come_back
    :: true
    fi;
end_blocked:
    false;

come_back:
    atomic {
        fenced(m) ->
        idle_p_get(w);
        if
        :: w != NONE -> acquire_p(m, w); w = 0; goto goroutine
        :: else -> w = 0; global_size++  /* wait_for_p; it is off its stack */
        fi
    };
    wake(m);

stop:
    atomic { fenced(m) -> idle_m[m] = true };
stopped:
end_asleep:
    atomic {
        parked[m] ->
        parked[m] = false;
        acquire_p(m, next_p[m]);
        next_p[m] = NONE
    };
    goto schedule
}

/* ready() by a thread without a P */
proctype thread() {
    byte w, s;
    bool got;
end:
    do
    :: atomic { to_come > 0 -> to_come--; global_size++ };
        wake(NM)
    od
}

init {
    byte i;
    atomic {
        i = 0;
        do
        :: i < NP -> idle_p[i] = (i != 0); i++
        :: else -> break
        od;
        owner[0] = 0;
        i = 0;
        do
        :: i < NM -> idle_m[i] = (i != 0); i++
        :: else -> break
        od;
        run thread();
        run M(0, 0);
        i = 1;
        do
        :: i < NM -> run M(i, NONE); i++
        :: else -> break
        od
    };
    timeout;
    assert(spinning == 0);
    i = 0;
    do
    :: i == NP -> break
    :: else ->
        assert(idle_p_count == 0 || (global_size == 0 && !next[i] && head[i] == tail[i]));
        i++
    od
}
