/* A P that has been left in a system call: its thread comes back, sysmon takes it, or the world stops; one of them gets it.
 *
 * Step for step, by the same names:
 *   sched/syscall.cpp   enter_syscall, leave_syscall, retake, come_back, take_idle_p, wait_for_p
 *   sched/idle.cpp      hand_off, stop_m
 *   sched/schedule.cpp  find_runnable, stop_for_the_world
 *   sched/stw.cpp       stop_the_world, start_the_world
 *
 * One P, and threads enough. Goroutines make CALLS system calls in all, and may stay in one for ever. sysmon takes the P
 * RETAKEN times at most, if it is there; the world is stopped STOPS times.
 *
 * Asserted: a P has one user at a time, and none while the world is stopped; stop_wait never counts below zero. The world
 * does stop: waiting for it is no valid end. In the end no goroutine waits for a P while one is idle.
 *
 * Memory is an amd64 CPU's: a thread's plain stores to P::status wait in its buffer, which what is locked empties. What is
 * done under sched.mu by others than stop_the_world has one effect that is seen without it, and is one step.
 *
 * Left out: wakers and sleepers (wakeup.pml): here a wake-up hands an idle P to a sleeping thread in one step.
 *
 * Changes that must be found:
 *   NO_FENCE    enter_syscall sets the status by a plain store
 *   NO_LOOK     enter_syscall does not look whether the world is being stopped
 * (both without sysmon, which sees to it late)
 *   WAIT_LATE   stop_the_world says how many it waits for when `stopping` can be seen already
 *   PLAIN_LEAVE leave_syscall looks at the status, then sets it: two steps
 *   PLAIN_TAKE  sysmon does
 *   NO_STOP     hand_off puts the P into the idle list while the world is being stopped
 */
#define NP 1
#ifndef CALLS
#define CALLS 3
#endif
#ifndef RETAKEN
#define RETAKEN 2
#endif
#ifndef SYSMON
#define SYSMON 1
#endif
#ifndef STOPS
#define STOPS 2
#endif
#define NM (NP + RETAKEN)     /* those who stay in system calls, and lose their P, keep a thread each */
#define NONE 255

mtype = { running, syscall, idle, stopped };

bool mu;
mtype status[NP] = running;   /* P::status, in memory */
bool idle_p[NP];              /* the idle list */
byte users[NP];
bool stopping = false, world_stopped = false;
byte stop_wait = 0;
byte global_size = 0;         /* goroutines without a P */
bool idle_m[NM];
byte next_p[NM] = NONE;
bool parked[NM];
byte calls = CALLS;

chan buffer[NM] = [1] of { byte, mtype };
#define fenced(m) (len(buffer[m]) == 0)

active proctype memory() {
    byte p;
    mtype s;
end:
    do
    :: atomic { buffer[0] ? p, s -> status[p] = s; p = 0 }
    :: atomic { buffer[1] ? p, s -> status[p] = s; p = 0 }
#if NM > 2
    :: atomic { buffer[2] ? p, s -> status[p] = s; p = 0 }
#endif
    od
}

inline use(p) {
    assert(users[p] == 0 && !world_stopped);
    users[p]++
}
inline count_down() {
    assert(stop_wait > 0);
    stop_wait--
}

inline idle_p_get(p) {
    if
    :: !stopping && idle_p[0] -> p = 0; idle_p[0] = false
    :: else -> p = NONE
    fi
}

#if NM > 2
#define somebody_sleeps (idle_m[0] || idle_m[1] || idle_m[2])
#else
#define somebody_sleeps (idle_m[0] || idle_m[1])
#endif

/* There is one who sleeps, or is about to: NM are enough. */
inline start_m(q) {
    atomic {
        !mu && somebody_sleeps ->
        if
        :: idle_m[0] -> idle_m[0] = false; next_p[0] = q; parked[0] = true
        :: idle_m[1] -> idle_m[1] = false; next_p[1] = q; parked[1] = true
#if NM > 2
        :: idle_m[2] -> idle_m[2] = false; next_p[2] = q; parked[2] = true
#endif
        fi
    }
}

inline wake(w) {
    atomic {
        !mu ->
        idle_p_get(w)
    };
    if
    :: w != NONE -> start_m(w)
    :: else
    fi;
    w = NONE
}

/* The caller owns p. */
inline hand_off(q) {
    assert(users[q] == 0);
    if
    :: global_size != 0 -> start_m(q)
    :: else ->
        atomic {
            !mu ->
            if
#ifndef NO_STOP
            :: stopping -> status[q] = stopped; count_down()
#endif
            :: else -> status[q] = idle; idle_p[q] = true
            fi
        };
        if
        :: global_size != 0 -> wake(w)
        :: else
        fi
    fi
}

proctype M(byte m; byte first) {
    byte p = first, old_p = NONE, w = NONE;
    bool ok;

    if
    :: p == NONE -> goto asleep
    :: else -> goto runs
    fi;

schedule:
    if
    :: stopping ->
        /* stop_for_the_world */
        atomic { fenced(m) && !mu -> users[p]--; status[p] = stopped };
        atomic { fenced(m) -> count_down() };
        p = NONE;
        goto stop
    :: else
    fi;
    /* find_runnable: the global queue, or it gives its P up; and looks again */
    atomic {
        fenced(m) && !mu ->
        if
        :: stopping -> goto schedule
        :: !stopping && global_size > 0 -> global_size--
        :: !stopping && global_size == 0 -> users[p]--; status[p] = idle; idle_p[p] = true; p = NONE; goto stop
        fi
    };

runs:
    do
    :: atomic { calls > 0 -> calls-- };
        goto call
    :: stopping ->
        /* asked to yield: give_way_globally */
        atomic { fenced(m) && !mu -> global_size++ };
        goto schedule
    :: goto schedule                        /* it ends */
    :: true -> break                        /* it computes */
    od;
end_computes:
    stopping;
    goto runs;

call:
    /* enter_syscall */
    atomic { old_p = p; users[p]--; p = NONE };
#ifdef NO_FENCE
    buffer[m] ! old_p, syscall;
#else
    atomic { fenced(m) -> status[old_p] = syscall };
#endif
#ifndef NO_LOOK
    if
    :: stopping ->
        atomic {
            fenced(m) ->
            if
            :: status[old_p] == syscall -> status[old_p] = stopped; ok = true
            :: else -> ok = false
            fi
        };
        if
        :: ok -> atomic { count_down(); ok = false }
        :: else
        fi
    :: else
    fi;
#endif
    if
    :: true
    :: goto stays
    fi;
    /* leave_syscall */
#ifdef PLAIN_LEAVE
    ok = (status[old_p] == syscall);
    if
    :: ok -> atomic { fenced(m) -> status[old_p] = running; p = old_p; use(p) }
    :: else
    fi;
#else
    atomic {
        fenced(m) ->
        if
        :: status[old_p] == syscall -> status[old_p] = running; p = old_p; use(p); ok = true
        :: else -> ok = false
        fi
    };
#endif
    old_p = NONE;
    if
    :: ok -> ok = false; goto runs
    :: else
    fi;
    /* come_back: take_idle_p, else wait_for_p */
    atomic {
        fenced(m) && !mu ->
        idle_p_get(w);
        if
        :: w != NONE -> p = w; w = NONE; use(p); buffer[m] ! p, running; goto runs
        :: else -> w = NONE; global_size++
        fi
    };
    wake(w);

stop:
    atomic {
        fenced(m) && !mu ->
        w = NONE;
        if
        :: global_size > 0 -> idle_p_get(w)
        :: else
        fi;
        if
        :: w != NONE ->
            p = w;
            w = NONE;
            use(p);
            buffer[m] ! p, running;
            goto schedule
        :: else -> idle_m[m] = true
        fi
    };
asleep:
end_asleep:
    atomic {
        parked[m] ->
        parked[m] = false;
        p = next_p[m];
        next_p[m] = NONE;
        use(p);
        buffer[m] ! p, running        /* acquire_p */
    };
    goto schedule;

stays:
end_stays:
    false
}

proctype sysmon() {
    byte i, w = NONE;
    byte retaken = RETAKEN * SYSMON;
    bool ok;

end:
    do
    :: atomic { retaken > 0 && status[0] == syscall -> i = 0 }; goto take
    od;
take:
    /* retake; it may be another system call by now */
#ifdef PLAIN_TAKE
    ok = true;
#else
    atomic {
        if
        :: status[i] == syscall -> status[i] = idle; ok = true
        :: else -> ok = false
        fi
    };
#endif
    if
    :: ok ->
        retaken--;
        ok = false;
#ifdef PLAIN_TAKE
        status[i] = idle;
#endif
        hand_off(i)
    :: else
    fi;
    i = 0;
    goto end
}

proctype stopper() {
    byte i, wait, w = NONE;
    byte stops = STOPS;
    bool last;

end:
    do
    :: stops > 0 ->
        stops--;
        atomic { !mu -> mu = true };
        wait = NP;
#ifndef WAIT_LATE
        stop_wait = NP + 1;
#endif
        stopping = true;
#ifdef WAIT_LATE
        stop_wait = NP + 1;
#endif
        i = 0;
        do
        :: i == NP -> break
        :: else ->
            if
            :: idle_p[i] -> idle_p[i] = false; status[i] = stopped; wait--
            :: else
            fi;
            i++
        od;
        i = 0;
        do
        :: i == NP -> break
        :: else ->
            atomic {
                if
                :: status[i] == syscall -> status[i] = stopped; wait--
                :: else
                fi
            };
            i++
        od;
        atomic {
            assert(stop_wait >= NP - wait + 1);
            stop_wait = stop_wait - (NP - wait + 1);
            mu = false;
            i = 0;
            wait = 0
        };
        stop_wait == 0;
        /* the world is stopped */
        world_stopped = true;
        i = 0;
        do
        :: i == NP -> break
        :: else -> assert(status[i] == stopped && users[i] == 0); i++
        od;
        /* start_the_world */
        atomic {
            !mu ->
            world_stopped = false;
            i = 0;
            do
            :: i == NP -> break
            :: else -> status[i] = idle; idle_p[i] = true; i++
            od;
            i = 0;
            stopping = false
        };
        if
        :: global_size != 0 -> wake(w)
        :: else
        fi
    od
}

init {
    byte i;
    atomic {
        do
        :: i == NP -> break
        :: else -> users[i] = 1; run M(i, i); i++
        od;
        do
        :: i == NM -> break
        :: else -> idle_m[i] = true; run M(i, NONE); i++
        od;
        run sysmon();
        run stopper();
        i = 0
    };
    timeout;
    assert(!stopping);
    do
    :: i == NP -> break
    :: else -> assert(!idle_p[i] || global_size == 0); i++
    od
}
