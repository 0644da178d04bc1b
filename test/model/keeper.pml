/* No descriptor that becomes ready is slept over: somebody polls while somebody waits.
 *
 * Step for step, by the same names:
 *   sched/netpoll.cpp    io_wait_begins, io_waiters, watch_io, poll_for_all; net: poll_desc.cpp, commit_wait;
 *                        epoll.cpp, wait and wake
 *   sched/keeper.cpp     keep_watch, begin_keeping, wait_in_poller, end_keeping, share_out, wake_keeper
 *   sched/idle.cpp       wake, wake_slow, start_m, stop_m, acquire_p; sched/schedule.cpp: the end of find_runnable
 *   sched/sysmon.cpp     deep_sleep, and the poll of each round
 *
 * NP Ps, NM threads, as many goroutines as Ps, which wait for a descriptor WAITS times in all, end, or compute for ever. A
 * thread that is not ours waits once. The kernel makes what somebody waits for ready at some time, or never, and keeps the
 * event until somebody polls.
 *
 * Asserted: when nothing moves any more, no event lies in the kernel, and no goroutine in the queue while a P is idle; nobody
 * counts as a waiter who is none, or sleeps on a P that it has been given. No invalid end state: who sleeps, sleeps in the idle list, in the poller or in deep_sleep.
 *
 * Memory is an amd64 CPU's: what a thread counts on its P waits in its buffer, which what is locked empties. What is done
 * under sched.mu is one step.
 *
 * Left out: deadlines, stopping the world, all queues but the global one (wakeup.pml).
 *
 * Changes that must be found:
 *   COUNT_LATE     who begins to wait looks for a keeper before he counts himself
 *   NO_WATCH       ... does not look
 *   NEED_FIRST     a thread decides whether to keep watch before it gives up its P
 *   NOTE_LATE      wake_keeper looks where the keeper sleeps before it sets the note
 *   POLLS_LATE     the keeper looks at the note before it says where it sleeps
 *   TAKE_WAKE      who only looks takes the wake-up of who waits
 *   NO_SYSMON_LOOK sysmon does not look again before its deep sleep
 *   NO_HURRY       who takes a P does not look whether sysmon sleeps deeply
 */
#ifndef NP
#define NP 2
#endif
#ifndef NM
#define NM 3
#endif
#ifndef WAITS
#define WAITS 2
#endif
#define NONE 255

byte idle_p_count = 0;
byte spinning = 0;
byte global_size = 0;
bool idle_m[NM];
bool has_next_p[NM];
bool m_spinning[NM];
bool parked[NM];              /* M::parked: woken */

byte keeper = NONE;
bool keeper_until = false;    /* somebody keeps watch; without deadlines that is all it says */
bool keeper_note = false;
bool keeper_polls = false;
bool poller_woken = false;    /* poller::wake */

byte io_waits = 0;            /* of all Ps together, in memory */
short io_ended = 0;
byte parked_gs = 0;           /* goroutines that can be found */
byte events = 0;              /* in the kernel */
byte to_wait = WAITS;
bool thread_waits = false, thread_event = false;   /* the same of a thread that is not ours */

bool sysmon_waiting = false;
bool sysmon_note = false;

chan buffer[NM] = [1] of { bit };
#define fenced(t) (len(buffer[t]) == 0)
#define io_waiters (io_waits - io_ended)

active proctype memory() {
end:
    do
    :: atomic { buffer[0] ? _ -> io_waits++ }
    :: atomic { buffer[1] ? _ -> io_waits++ }
#if NM > 2
    :: atomic { buffer[2] ? _ -> io_waits++ }
#endif
    od
}

inline wake_keeper() {
#ifdef NOTE_LATE
    polls = keeper_polls;
    keeper_note = true;
#else
    keeper_note = true;
    polls = keeper_polls;
#endif
    if
    :: polls -> atomic { poller_woken = true; polls = false }
    :: else            /* the note's futex: it does not sleep on that while there is a poller */
    fi
}

#if NM > 2
#define somebody_sleeps (idle_m[0] || idle_m[1] || idle_m[2])
#else
#define somebody_sleeps (idle_m[0] || idle_m[1])
#endif

/* Whoever keeps watch goes on with that if another one will do. */
inline start_m() {
    atomic {
        somebody_sleeps ->
        if
        :: idle_m[0] && keeper != 0 -> s = 0
        :: idle_m[1] && keeper != 1 -> s = 1
#if NM > 2
        :: idle_m[2] && keeper != 2 -> s = 2
#endif
        :: else -> s = keeper
        fi;
        idle_m[s] = false;
        has_next_p[s] = true;
        m_spinning[s] = true;
        keeps = (s == keeper)
    };
    if
    :: keeps -> wake_keeper()
    :: else -> parked[s] = true
    fi;
    atomic { s = 0; keeps = false }
}

inline wake() {
    if
    :: idle_p_count == 0
    :: else ->
        if
        :: spinning != 0
        :: else ->
            atomic {
                if
                :: spinning == 0 -> spinning = 1; got = true
                :: else -> got = false
                fi
            };
            if
            :: got ->
                atomic {
                    if
                    :: idle_p_count != 0 -> idle_p_count--
                    :: else -> spinning--; got = false
                    fi
                };
                if
                :: got -> got = false; start_m()
                :: else
                fi
            :: else
            fi
        fi
    fi
}

inline acquire_p() {
#ifndef NO_HURRY
    if
    :: sysmon_waiting -> sysmon_note = true
    :: else
    fi
#else
    skip
#endif
}

/* The poller gives what is ready; each ends a wait. A wake-up is for who waits in it only (epoll.cpp, wait). */
inline poll(found, waits) {
    atomic {
        found = events;
        events = 0;
        if
#ifdef TAKE_WAKE
        :: poller_woken -> poller_woken = false
#else
        :: waits -> poller_woken = false
#endif
        :: else
        fi;
        parked_gs = parked_gs - found;
        if
        :: thread_event -> thread_event = false; thread_waits = false; ended = found + 1
        :: else -> ended = found
        fi
    };
    atomic { io_ended = io_ended + ended; ended = 0 }
}

inline put_globally(n) {
    atomic { global_size = global_size + n; n = 0 };
    wake()
}

proctype M(byte m; bool runs) {
    byte s, found, ended;
    bool got, polls, keeps, leaving, needed;

    if
    :: runs -> goto goroutine
    :: else -> goto asleep
    fi;

schedule:
    /* find_runnable */
    atomic {
        if
        :: global_size != 0 -> global_size--; goto execute
        :: else
        fi
    };
    if
    :: !m_spinning[m] && spinning == 0 -> atomic { fenced(m) -> m_spinning[m] = true; spinning++ }; goto schedule
    :: true
    fi;
#ifdef NEED_FIRST
    needed = (io_waiters != 0);
#endif
    atomic {
        fenced(m) ->
        if
        :: global_size != 0 -> global_size--; goto execute
        :: else -> idle_p_count++
        fi
    };
    if
    :: m_spinning[m] -> m_spinning[m] = false; atomic { fenced(m) -> spinning-- }
    :: else
    fi;
    /* recheck */
    atomic {
        if
        :: global_size != 0 && idle_p_count != 0 -> idle_p_count--; got = true
        :: else -> got = false
        fi
    };
    if
    :: got ->
        got = false;
        acquire_p();
        m_spinning[m] = true;
        atomic { fenced(m) -> spinning++ };
        goto schedule
    :: else
    fi;
    /* keep_watch */
#ifndef NEED_FIRST
    needed = (io_waiters != 0);
#endif
    if
    :: !needed -> goto stop
    :: else -> needed = false
    fi;
    atomic {
        /* begin_keeping */
        if
        :: keeper == NONE -> keeper_note = false; keeper = m; keeper_until = true; idle_m[m] = true
        :: else -> goto stop
        fi
    };
again:
    if
    :: io_waiters != 0 ->
        /* wait_in_poller */
#ifdef POLLS_LATE
        got = keeper_note;
        keeper_polls = true;
#else
        keeper_polls = true;
        got = keeper_note;
#endif
        if
        :: !got ->
end_polls:
            events != 0 || thread_event || poller_woken;
            poll(found, true)
        :: else -> got = false
        fi;
        keeper_polls = false
    :: else
    fi;
    keeper_note = false;
    needed = (io_waiters != 0);
    /* end_keeping */
    atomic {
        got = has_next_p[m];
        if
        :: !got && found == 0 && needed -> needed = false; goto again
        :: !got && !(found == 0 && needed) ->
            idle_m[m] = false;
            if
            :: idle_p_count != 0 -> idle_p_count--; got = true
            :: else
            fi
        :: else
        fi;
        needed = false;
        has_next_p[m] = false;
        keeper = NONE;
        keeper_until = false
    };
    if
    :: got -> acquire_p()
    :: else
    fi;
    /* share_out; a queue of its own P is the global one here, and it comes there next */
    if
    :: found != 0 && got -> atomic { got = false; global_size = global_size + found; found = 0; goto schedule }
    :: found == 0 && got -> got = false; goto schedule
    :: found != 0 && !got -> put_globally(found)
    :: else
    fi;
    sysmon_note = true;

stop:
    atomic { fenced(m) -> idle_m[m] = true; needed = false };
asleep:
end_asleep:
    atomic { parked[m] -> parked[m] = false; assert(has_next_p[m]); has_next_p[m] = false };
    acquire_p();
    goto schedule;

execute:
    if
    :: m_spinning[m] -> m_spinning[m] = false; atomic { fenced(m) -> spinning-- }; wake()
    :: else
    fi;

goroutine:
    if
    :: atomic { to_wait > 0 -> to_wait-- };
        /* commit_wait; leaving: nothing_else_to_run() */
        leaving = (global_size == 0);
#ifdef COUNT_LATE
        if
        :: leaving
        :: else ->
            if
            :: keeper_until
            :: else -> wake()
            fi
        fi;
        buffer[m] ! 1;
        atomic { fenced(m) -> parked_gs++; leaving = false };
#else
        buffer[m] ! 1;
        atomic { fenced(m) -> parked_gs++ };
#ifndef NO_WATCH
        if
        :: leaving
        :: else ->
            if
            :: keeper_until
            :: else -> wake()
            fi
        fi;
#endif
        leaving = false;
#endif
        goto schedule
    :: goto schedule
    :: true
    fi;
end_computes:
    false
}

/* It may have nothing more at any time. */
proctype kernel() {
end:
    do
    :: true -> break
    :: atomic { events < parked_gs -> events++ }
    :: atomic { thread_waits && !thread_event -> thread_event = true }
    od
}

/* A thread that is not ours waits, once: watch_io after io_wait_begins. */
proctype thread() {
    byte s;
    bool got, polls, keeps;

#ifndef COUNT_LATE
    atomic { io_ended--; thread_waits = true };   /* one counter for both, then */
#endif
#ifndef NO_WATCH
    if
    :: keeper_until
    :: else -> wake()
    fi;
#endif
#ifdef COUNT_LATE
    atomic { io_ended--; thread_waits = true };
#endif
    skip
}

proctype sysmon() {
    byte s, found, ended;
    bool got, polls, keeps;

end:
    do
    :: (events != 0 || thread_event) && !keeper_until && io_waiters != 0 ->
        /* poll_for_all */
        poll(found, false);
        if
        :: found != 0 -> put_globally(found)
        :: else
        fi
    :: idle_p_count == NP ->
        /* deep_sleep */
        sysmon_waiting = true;
#ifdef NO_SYSMON_LOOK
        if
        :: true ->
#else
        if
        :: idle_p_count == NP ->
#endif
end_deep:
            sysmon_note
        :: else
        fi;
        atomic { sysmon_waiting = false; sysmon_note = false }
    od
}

init {
    byte i;
    atomic {
        do
        :: i == NM -> break
        :: else ->
            idle_m[i] = (i >= NP);
            run M(i, i < NP);
            i++
        od;
        i = 0;
        run kernel();
        run thread();
        run sysmon()
    };
    timeout;
    assert(events == 0 && !thread_event);
    assert(global_size == 0 || idle_p_count == 0);
    assert(io_waiters == parked_gs + thread_waits);
    do
    :: i == NM -> break
    :: else -> assert(!has_next_p[i]); i++
    od
}
