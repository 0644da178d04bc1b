/* One direction of a descriptor: who waits for it is told of data, of a deadline and of close, once.
 *
 * Step for step, by the same names:
 *   net/src/poll_desc.cpp  prepare, wait_ready, commit_wait, take_waiter, wake_waiter, on_event, evict, close_poll_desc, and
 *                          of deadlines what tells who waits (expire_direction, then wake_waiter)
 *   net/src/socket.cpp     close_and_wait; net/src/fd_lock.cpp: enter, leave, close, let_go, by their count of uses
 *   runtime/src/sched/netpoll.cpp  io_wait_begins, io_waits_end
 *
 * A reader reads DATA bytes, one at a time, which come one at a time, and each of which the kernel makes an event of when it
 * comes (an edge: once), sometimes with an error. A closer closes meanwhile. Then the same poll_desc is used for another
 * descriptor, with a reader of its own. One thread at a time polls.
 *
 * Asserted: who parks is made ready once; nobody is written over; an error of one descriptor is not told to the other; waits
 * begun and ended are as many. In the end nobody waits while there are data that an edge has told of, nor on what has been
 * closed, nor past his deadline.
 *
 * Memory is an amd64 CPU's: the reader's plain stores wait in its buffer. All others use what is locked.
 *
 * Changes that must be found:
 *   NO_FENCE      prepare takes `ready` back by a plain store
 *   PREPARE_LATE  ... after the system call
 *   NO_LOOK       who has parked does not look at info
 *   LOOK_FIRST    ... looks before he can be found
 *   PLAIN_PARK    parks by a store: `ready` that has come since is lost
 *   WAKE_FIRST    close and deadlines take the waiter out before they say why
 *   NO_READY      an event that finds nobody is forgotten
 *   NO_TAG        events are not told by their tag
 *   TAG_APART     the tag is looked at, then the error is set: two steps
 *   KEEP_COUNT    who cannot park does not take back that he waits
 */
#ifndef DATA
#define DATA 2
#endif
#ifndef DEADLINES
#define DEADLINES 1
#endif
#ifndef REUSED
#define REUSED 1
#endif

#define NOBODY 0
#define READY 1
#define G(r) (r + 2)

/* poll_desc */
byte waiter = NOBODY;
byte tag = 0;
bool closing = false, expired = false, scan_error = false;   /* one word, with the tag */

/* the sockets' fd_lock: who uses them, and whether they are closed */
byte uses[2] = 1;             /* who may close */
bool closed[2];
bool ended[2];

/* the kernel's side */
byte data[2];
byte to_come[2] = DATA;
bool had_error[2];
bool edge[2];                 /* an event that nobody has polled yet */
bool edge_error[2];
bool open[2];

short waits = 0;              /* io_wait_begins - io_waits_end */
bool parked[2], woken[2];

chan buffer[2] = [1] of { byte };   /* a reader's plain stores to waiter */

inline ready(g) {
    assert(g >= G(0) && parked[g - G(0)] && !woken[g - G(0)]);
    woken[g - G(0)] = true
}

/* taken: who was parked there. */
inline take_waiter(otherwise, taken) {
    seen = waiter;
    do
    :: seen == READY -> taken = NOBODY; break
    :: seen == NOBODY && otherwise == NOBODY -> taken = NOBODY; break
    :: else ->
        atomic {
            if
            :: waiter == seen ->
                waiter = (seen > READY -> NOBODY : otherwise);
                taken = (seen > READY -> seen : NOBODY);
                seen = NOBODY;
                break
            :: else -> seen = waiter
            fi
        }
    od;
    seen = NOBODY
}

inline wake_waiter() {
    take_waiter(NOBODY, taken);
    if
    :: taken != NOBODY -> waits--; ready(taken); taken = NOBODY
    :: else
    fi
}

inline close_poll_desc(r) {
    open[r] = false;
    edge[r] = false;
    atomic { tag++; closing = false; expired = false; scan_error = false };
    assert(waiter <= READY && len(buffer[r]) == 0);
    waiter = NOBODY;
    ended[r] = true
}

inline let_go(r) {
    atomic { uses[r]--; last = closed[r] && uses[r] == 0 };
    if
    :: last -> last = false; close_poll_desc(r)
    :: else
    fi
}

active proctype memory() {
end:
    do
    :: atomic { buffer[0] ? waiter }
    :: atomic { buffer[1] ? waiter }
    od
}

proctype reader(byte r) {
    byte seen, taken;
    byte left = DATA;
    bool last, over;

    do
    :: left == 0 -> break
    :: else ->
        atomic {
            if
            :: closed[r] -> break
            :: else -> uses[r]++
            fi
        };
again:
        /* prepare */
#ifndef PREPARE_LATE
        if
        :: waiter != NOBODY ->
#ifdef NO_FENCE
            buffer[r] ! NOBODY
#else
            waiter = NOBODY
#endif
        :: else
        fi;
#endif
        assert(open[r]);
        over = closing || expired;
        if
        :: over -> goto out
        :: else
        fi;
        /* the system call */
        assert(open[r]);
        atomic {
            if
            :: data[r] > 0 -> data[r]--; left--; goto out
            :: else
            fi
        };
#ifdef PREPARE_LATE
        waiter = NOBODY;
#endif
        /* wait_ready */
        seen = (len(buffer[r]) != 0 -> NOBODY : waiter);
        assert(seen <= READY);
        if
        :: seen == READY ->
            atomic {
                len(buffer[r]) == 0 ->
                if
                :: waiter == READY -> waiter = NOBODY; seen = NOBODY; goto again
                :: else
                fi
            }
        :: else
        fi;
        seen = NOBODY;
        /* park; commit_wait */
        parked[r] = true;
        waits++;
#ifdef LOOK_FIRST
        over = closing || expired;
#endif
#ifdef PLAIN_PARK
        atomic { len(buffer[r]) == 0 -> waiter = G(r); seen = NOBODY };
#else
        atomic {
            len(buffer[r]) == 0 ->
            seen = waiter;
            if
            :: waiter == NOBODY -> waiter = G(r)
            :: else
            fi
        };
#endif
        if
        :: seen != NOBODY ->
            seen = NOBODY;
#ifndef KEEP_COUNT
            waits--;
#endif
            ready(G(r))
        :: else ->
#ifndef LOOK_FIRST
            over = closing || expired;
#endif
#ifdef NO_LOOK
            over = false;
#endif
            if
            :: over -> over = false; wake_waiter()
            :: else
            fi
        fi;
end_waits:
        atomic { woken[r] -> woken[r] = false; parked[r] = false };
        over = closing || expired;
        if
        :: over -> goto out
        :: else -> goto again
        fi;
out:
        let_go(r);
        /* past the deadline, or closed */
        if
        :: over -> over = false; break
        :: else
        fi
    od
}

/* It may have nothing more at any time. */
proctype kernel() {
end:
    do
    :: true -> break
    :: atomic { open[0] && to_come[0] > 0 -> to_come[0]--; data[0]++; edge[0] = true }
    :: atomic { open[1] && to_come[1] > 0 -> to_come[1]--; data[1]++; edge[1] = true }
    :: atomic { open[0] && !had_error[0] -> had_error[0] = true; edge[0] = true; edge_error[0] = true }
    od
}

proctype poller() {
    byte desc, seen, taken;
    bool error, mine;

end:
    do
    :: atomic {
           if
           :: edge[0] -> edge[0] = false; desc = 0; error = edge_error[0]; edge_error[0] = false
           :: edge[1] -> edge[1] = false; desc = 1; error = false
           fi
       };
       /* on_event */
       atomic {
#ifdef NO_TAG
           mine = true;
#else
           mine = (tag == desc);
#endif
#ifndef TAG_APART
           if
           :: mine && error -> assert(desc == tag); scan_error = true; error = false
           :: else
           fi
#endif
       };
#ifdef TAG_APART
       atomic {
           if
           :: mine && error -> assert(desc == tag); scan_error = true; error = false
           :: else
           fi
       };
#endif
       error = false;
       if
       :: mine ->
#ifdef NO_READY
           take_waiter(NOBODY, taken);
#else
           take_waiter(READY, taken);
#endif
           if
           :: taken != NOBODY -> ready(taken); taken = NOBODY; waits--
           :: else
           fi
       :: else
       fi;
       mine = false;
       desc = 0
    od
}

proctype closer() {
    byte seen, taken;
    bool last;

    atomic { closed[0] = true };
    /* evict */
#ifdef WAKE_FIRST
    wake_waiter();
    closing = true;
#else
    closing = true;
    wake_waiter();
#endif
    let_go(0);
    /* the poll_desc is used again */
    if
    :: REUSED -> atomic { ended[0] -> open[1] = true; run reader(1) }
    :: else
    fi
}

/* A deadline of the second descriptor, which is not closed. */
proctype deadline() {
    byte seen, taken;

end:
    atomic { DEADLINES && open[1] };
#ifdef WAKE_FIRST
    wake_waiter();
    expired = true
#else
    expired = true;
    wake_waiter()
#endif
}

init {
    atomic {
        open[0] = true;
        run reader(0);
        run kernel();
        run poller();
        run closer();
        run deadline()
    };
    timeout;
    assert(!parked[0]);
    assert(!parked[1] || (data[1] == 0 && !expired));
    assert(waits == (parked[1] -> 1 : 0));
    assert(waiter <= READY || parked[waiter - G(0)])
}
