/* A goroutine that a signal has stopped keeps its thread, and its P goes to another one.
 *
 * Step for step, by the same names:
 *   preempt/handler.cpp  on_preempt_signal: judge, stop (runtime_pin)
 *   preempt/freeze.cpp   freeze, freeze_with_p, freeze_without_p, choose, queue_frozen, hand_over, sleep_frozen
 *   preempt/detach.cpp   take, detach (its fence: detach.pml); sched/idle.cpp: hand_off, stop_m, start_locked_m
 *   preempt/attention.cpp  answer_attention, return_from_detachment; sched/syscall.cpp: come_back
 *   sched/stw.cpp        stop_the_world, start_the_world
 *
 * One P, NG goroutines, one thread more: a frozen or detached goroutine keeps one. A goroutine computes in WORK steps;
 * between two of them the signal may come, or it enters the runtime. `sysmon` asks for signals and detaches; `stopper` stops
 * the world once.
 *
 * Asserted: one thread at a time uses the P, nobody while the world is stopped; a goroutine goes on only with a P or
 * detached, one thread at a time, a frozen one on its own thread; each change of status is from the state the code says. In
 * the end each goroutine has done all of its work: none is forgotten in a queue or in a handler.
 *
 * What is done under sched.mu is one step, but in take, which others meet by M::attention, without the lock. Memory is
 * in order here: the depth's and the attention's fences are those of detach.pml.
 *
 * Left out: the order among hogs, the cap on frozen threads, injection. Waking an idle P's thread is one step (wakeup.pml).
 *
 * Changes that must be found:
 *   NO_PIN         the handler does not count itself in, nor wait for sysmon's answer
 *   QUEUE_LATE     the goroutine is queued after its P has been handed over, in a section of its own
 *   NO_TIE         it is not tied to its thread
 *   NO_REFUSAL     it is frozen though nothing else waits, and the P goes to the idle list
 *   FORGET_COUNT   whoever is frozen while the world is being stopped does not count down
 *   EARLY_LOOK     whether it is detached is looked at before the pin
 */
#ifndef NG
#define NG 2
#endif
#define NM (NG + 1)
#ifndef WORK
#define WORK 2
#endif
#ifndef SIGNALS
#define SIGNALS 2
#endif
#ifndef REQUESTS
#define REQUESTS 2
#endif
#ifndef DETACHMENTS
#define DETACHMENTS 1
#endif
#ifndef STOPS
#define STOPS 1
#endif
#define NONE 255

mtype = { idle, runnable, running, syscall, dead, stopped };

/* the P */
mtype p_status = running;
byte m_of_p = NONE;           /* P::m */
byte users = 0;

/* the scheduler */
bool mu;
bool stopping = false;
byte stop_wait = 0;
bool world_stopped = false;
chan global = [NG] of { byte };     /* what others have queued */
chan frozen = [NG] of { byte };
byte idle_ms = 0;                   /* a bit for each M */

/* each M, and the goroutine of the same number */
bool has_p[NM];
byte next_p[NM];                    /* 1: the P */
bool parked[NM];
bool depth[NM];
bool preempt[NM], retaking[NM], detached[NM];
byte curg[NM] = NONE;
mtype status[NG] = runnable;
byte locked_m[NG] = NONE;           /* G::locked_m */
byte locked_g[NM] = NONE;           /* M::locked_g */
byte work[NG] = WORK;
byte on[NG];                        /* how many threads execute the goroutine's steps */
byte signals = SIGNALS;

inline set_status(g, from, to) {
    assert(status[g] == from);
    status[g] = to
}

inline acquire_p(m) {
    assert(users == 0 && !world_stopped);
    users++;
    has_p[m] = true;
    m_of_p = m;
    p_status = running
}

inline release_p(m) {
    assert(has_p[m] && users == 1);
    users--;
    has_p[m] = false;
    m_of_p = NONE
}

/* The P belongs to nobody: to a thread that sleeps, if there is work, else to the idle list. Under sched.mu. */
inline pass_p_on() {
    if
    :: stopping -> p_status = stopped; stop_wait--
    :: !stopping && idle_ms != 0 && (len(global) != 0 || len(frozen) != 0) -> give_p_to_any()
    :: else -> p_status = idle
    fi
}

inline give_p_to_any() {
    s = 0;
    do
    :: (idle_ms & (1 << s)) != 0 -> break
    :: else -> s++
    od;
    idle_ms = idle_ms & ~(1 << s);
    next_p[s] = 1;
    parked[s] = true;
    p_status = running;
    s = 0
}

/* wake(), after something has been queued. Under sched.mu. */
inline wake() {
    if
    :: p_status == idle && idle_ms != 0 && !stopping -> give_p_to_any()
    :: else
    fi
}

inline take_handed_p(m) {
    assert(next_p[m] == 1);
    next_p[m] = 0;
    acquire_p(m)
}

/* The thread sleeps in the handler. */
inline sleep_frozen(m, g) {
    atomic {
        parked[m] ->
        parked[m] = false;
        take_handed_p(m);
        preempt[m] = false;
        set_status(g, runnable, running);
        locked_g[m] = NONE;
        locked_m[g] = NONE
    }
}

inline queue_frozen(m, g, from) {
    set_status(g, from, runnable);
#ifndef NO_TIE
    locked_m[g] = m;
    locked_g[m] = g;
#endif
    frozen ! g
}

inline freeze_with_p(m, g) {
    atomic {
        !mu ->
        assert(has_p[m]);
        /* choose */
        if
        :: stopping -> to = NONE; refused = false
        :: !stopping && len(global) == 0 && len(frozen) != 0 ->
            frozen ? s;
            to = locked_m[s];
            s = 0;
            refused = false
        :: !stopping && len(global) == 0 && len(frozen) == 0 ->
#ifdef NO_REFUSAL
            to = NONE;
            refused = false
#else
            refused = true
#endif
        :: !stopping && len(global) != 0 && idle_ms == 0 -> refused = true
        :: !stopping && len(global) != 0 && idle_ms != 0 ->
            to = 0;
            do
            :: (idle_ms & (1 << to)) != 0 -> break
            :: else -> to++
            od;
            idle_ms = idle_ms & ~(1 << to);
            refused = false
        fi;
        if
        :: !refused ->
            if
            :: to != NONE -> next_p[to] = 1
            :: else
            fi;
            release_p(m);
#ifndef QUEUE_LATE
            queue_frozen(m, g, running)
#endif
        :: else
        fi
    };
    if
    :: refused -> refused = false
    :: else ->
        /* hand_over */
        if
        :: to != NONE -> atomic { parked[to] = true; to = 0 }
        :: else ->
            atomic {
                to = 0;
                if
                :: stopping ->
                    p_status = stopped;
#ifndef FORGET_COUNT
                    stop_wait--
#else
                    skip
#endif
                :: else -> p_status = idle
                fi
            }
        fi;
#ifdef QUEUE_LATE
        atomic { !mu -> queue_frozen(m, g, running) };
#endif
        sleep_frozen(m, g)
    fi
}

inline freeze_without_p(m, g) {
    atomic {
        !mu ->
        assert(detached[m] && !has_p[m]);
        detached[m] = false;
        preempt[m] = false;
        if
        :: !stopping && p_status == idle -> acquire_p(m); set_status(g, syscall, running); refused = true
        :: else -> queue_frozen(m, g, syscall); refused = false
        fi
    };
    if
    :: refused -> refused = false
    :: else -> sleep_frozen(m, g)
    fi
}

inline on_signal(m, g) {
    /* judge; depth is zero here */
    if
    :: !preempt[m] && !detached[m]
    :: else ->
#ifdef EARLY_LOOK
        refused = detached[m];
#endif
#ifndef NO_PIN
        depth[m] = true;
        !retaking[m];
#endif
#ifndef EARLY_LOOK
        refused = detached[m];
#endif
        if
        :: refused -> refused = false; freeze_without_p(m, g)
        :: else -> freeze_with_p(m, g)
        fi;
        depth[m] = false
    fi
}

/* runtime_entry, and nothing in it: yields if that is asked for. */
inline enter(m, g) {
    depth[m] = true;
    !retaking[m];
    if
    :: detached[m] ->
        /* return_from_detachment, come_back */
        atomic {
            !mu ->
            detached[m] = false;
            preempt[m] = false;
            if
            :: !stopping && p_status == idle -> acquire_p(m); set_status(g, syscall, running)
            :: else -> refused = true
            fi
        };
        if
        :: refused ->
            /* wait_for_p: the goroutine goes to the queue, the thread to sleep */
            atomic {
                !mu ->
                refused = false;
                set_status(g, syscall, runnable);
                on[g]--;
                curg[m] = NONE;
                global ! g;
                wake()
            };
            goto sleep
        :: else -> depth[m] = false
        fi
    :: !detached[m] && preempt[m] ->
        /* follow_request: give_way_globally */
        atomic {
            !mu ->
            preempt[m] = false;
            set_status(g, running, runnable);
            on[g]--;
            curg[m] = NONE;
            global ! g
        };
        goto schedule
    :: !detached[m] && !preempt[m] -> depth[m] = false
    fi
}

proctype M(byte m) {
    byte s, g, to;
    bool refused;

    goto asleep;

sleep:
    depth[m] = true;
    /* find_runnable looks again before it gives up; and a thread that start_m would make is this one here */
    atomic {
        !mu ->
        if
        :: p_status == idle && !stopping && (len(global) != 0 || len(frozen) != 0) -> acquire_p(m); goto schedule
        :: else -> idle_ms = idle_ms | (1 << m)
        fi;
        g = 0
    };
asleep:
end_asleep:
    atomic { parked[m] -> parked[m] = false; take_handed_p(m) };

schedule:
    /* one of both queues, or the P goes to the idle list */
    atomic {
        !mu ->
        assert(has_p[m]);
        g = NONE;
        if
        :: stopping -> release_p(m); p_status = stopped; stop_wait--; goto sleep
        :: !stopping && len(global) != 0 -> global ? g
        :: !stopping && len(frozen) != 0 -> frozen ? g
        :: !stopping && len(global) == 0 && len(frozen) == 0 -> release_p(m); p_status = idle; goto sleep
        fi;
        if
        :: locked_m[g] != NONE && locked_m[g] != m ->
            /* start_locked_m */
            release_p(m);
            next_p[locked_m[g]] = 1
        :: else
        fi
    };
    if
    :: locked_m[g] != NONE && locked_m[g] != m -> atomic { parked[locked_m[g]] = true; g = 0; goto sleep }
    :: else
    fi;
    atomic { set_status(g, runnable, running); curg[m] = g; depth[m] = false; on[g]++ };

    do
    :: atomic {
           work[g] > 0 ->
           assert(on[g] == 1);
           assert(has_p[m] || detached[m] || retaking[m]);
           work[g]--
       }
    :: signals > 0 && (preempt[m] || detached[m]) -> signals--; on_signal(m, g)
    :: preempt[m] || detached[m] -> enter(m, g)
    :: work[g] == 0 -> break
    od;
    /* enter_for_the_last_time */
    depth[m] = true;
    !retaking[m];
    if
    :: detached[m] ->
        atomic {
            !mu ->
            detached[m] = false;
            preempt[m] = false;
            if
            :: !stopping && p_status == idle -> acquire_p(m); set_status(g, syscall, running)
            :: else -> set_status(g, syscall, runnable); on[g]--; curg[m] = NONE; global ! g; wake(); goto sleep
            fi
        }
    :: else
    fi;
    atomic { set_status(g, running, dead); curg[m] = NONE; on[g]-- };
    goto schedule
}

proctype sysmon() {
    byte m, s;
    byte detachments = DETACHMENTS;
    byte requests = REQUESTS;
    bool outside;

end:
    do
    :: atomic { requests > 0 && m_of_p != NONE && !preempt[m_of_p] -> requests--; preempt[m_of_p] = true }
    :: atomic { detachments > 0 && !mu && m_of_p != NONE && !depth[m_of_p] -> mu = true; m = m_of_p };
        retaking[m] = true;
        atomic {
            outside = !depth[m] && m_of_p == m && has_p[m] && curg[m] != NONE;
            if
            :: outside ->
                detachments--;
                set_status(curg[m], running, syscall);
                release_p(m);
                retaking[m] = false;
                detached[m] = true
            :: else -> retaking[m] = false
            fi;
            mu = false;
            m = 0
        };
        if
        :: outside -> atomic { !mu -> outside = false; pass_p_on() }
        :: else
        fi
    od
}

proctype stopper() {
    byte s;
    byte stops = STOPS;

end:
    do
    :: atomic {
           stops > 0 && !mu ->
           stops--;
           stop_wait = 1;
           stopping = true;
           if
           :: p_status == idle -> p_status = stopped; stop_wait--
           :: else
           fi
       };
       /* ask_running_ps */
       do
       :: stop_wait == 0 -> break
       :: atomic { m_of_p != NONE && !preempt[m_of_p] -> preempt[m_of_p] = true }
       od;
       atomic { world_stopped = true; assert(users == 0 && p_status == stopped) };
       atomic {
           !mu ->
           world_stopped = false;
           stopping = false;
           p_status = idle;
           if
           :: len(global) != 0 || len(frozen) != 0 -> wake()
           :: else
           fi
       }
    od
}

init {
    byte i;
    atomic {
        i = 0;
        do
        :: i < NG -> global ! i; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < NM -> depth[i] = true; run M(i); i++
        :: else -> break
        od;
        /* the first of them is told */
        idle_ms = (1 << NM) - 2;
        next_p[0] = 1;
        parked[0] = true;
        run sysmon();
        run stopper();
        i = 0
    };
    timeout;
    do
    :: i == NG -> break
    :: else -> assert(status[i] == dead && on[i] == 0); i++
    od
}
