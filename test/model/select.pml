/* Who wins a select that waits: exactly one partner, and nobody waits for ever beside somebody who could go on.
 *
 * Step for step, by the same names:
 *   sync/src/select.cpp  chan_select: try_one, decide, lock_all, wait, unlock_all (park's commit)
 *   sync/src/waiter.hpp  waiter_queue: push, pop (the claim), remove
 *   sync/src/channel.hpp send_now, recv_now, finish; sync/src/chan.cpp: chan_send, chan_recv, chan_close
 *
 * Two unbuffered channels. One select receives from both, another sends to both or receives, too; partners send and receive
 * plainly; a closer closes one of the channels. What is sent is the sender's number.
 *
 * Asserted: a value is received once, and its sender goes on then only; a select fires one case, and finds its own winner; a
 * goroutine is made ready once for each time that it parks; while a waiter is queued its frame lives; a queue's links are
 * changed by who holds the lock. In the end nobody waits who could go on: of those who are left, none sends while another
 * one receives on the same channel; nobody waits on a closed channel.
 *
 * Memory is in order here: all is done under the channels' locks, but the claim, which is a compare-and-swap.
 *
 * Left out: buffers, boxes, sources, bubbles, default (which looks under all locks), a stack that moves. A queue's order is
 * kept: first come, first served.
 *
 * Changes that must be found:
 *   NO_CLAIM      a partner takes a select's waiter without the claim
 *   CLAIM_LATE    looks at the claim, then sets it: two steps
 *   PARK_LATE     the select releases its locks before it has parked
 *   NO_REMOVE     who has been woken leaves its other waiters where they are
 *   ONE_LOCK      the select looks and queues under one lock at a time
 *   NO_NEXT       a partner that finds a select won already gives up on that queue and parks
 *   UNORDERED     locks are taken in the order of the cases: the two selects have them the other way round
 */
#ifndef SENDERS
#define SENDERS 2
#endif
#ifndef RECEIVERS
#define RECEIVERS 1
#endif
#ifndef SELECTS
#define SELECTS 1
#endif
#ifndef CLOSERS
#define CLOSERS 0
#endif
/* What the second select does: 0 receives, 1 sends. */
#ifndef SECOND_SENDS
#define SECOND_SENDS 0
#endif
#define N (SENDERS + RECEIVERS + SELECTS + 1)
#define NOBODY 255

bool mu[2];
bool closed[2];
chan senders[2] = [N] of { byte };      /* queues of waiters: the goroutine, whose waiter on this channel it is */
chan receivers[2] = [N] of { byte };

/* each goroutine */
bool is_select[N];
bool claim[N];
bool off_stack[N];                      /* parked: its context is saved */
bool woken[N];
byte param[N];                          /* G::param: the channel whose waiter was taken */
bool success[N];
byte elem[N] = NOBODY;                  /* the select's or receiver's variable */
bool frame[N];                          /* its waiters' memory is there */

bool received[N];                       /* the value of this sender */

#define lock(c) atomic { !mu[c] -> mu[c] = true }
#define unlock(c) mu[c] = false

/* ready(g): g's context must be complete. */
inline ready(g) {
    atomic {
        assert(!woken[g]);
        off_stack[g];
        woken[g] = true
    }
}

/* waiter_queue::pop: the first whose goroutine has not been won by another case. Under the lock of c. */
inline pop(q, w) {
    do
    :: len(q) == 0 -> w = NOBODY; break
    :: len(q) != 0 ->
        q ? w;
        assert(frame[w]);
        if
        :: !is_select[w] -> break
        :: else ->
#ifdef NO_CLAIM
            break
#else
#ifdef CLAIM_LATE
            if
            :: !claim[w] -> claim[w] = true; break
            :: else
            fi
#else
            atomic {
                if
                :: !claim[w] -> claim[w] = true; won = true
                :: else -> won = false
                fi
            };
            if
            :: won -> won = false; break
            :: else
            fi
#endif
#endif
        fi;
#ifdef NO_NEXT
        w = NOBODY;
        break
#endif
    od
}

inline finish(w, c, ok) {
    assert(frame[w]);
    success[w] = ok;
    param[w] = c
}

/* send_now, recv_now: done says whether; w is to be made ready. */
inline send_now(me, c) {
    pop(receivers[c], w);
    if
    :: w != NOBODY ->
        assert(frame[w] && elem[w] == NOBODY);
        elem[w] = me;
        finish(w, c, true);
        done = true
    :: else -> done = false
    fi
}

inline recv_now(me, c) {
    pop(senders[c], w);
    if
    :: w != NOBODY ->
        assert(frame[w] && elem[me] == NOBODY);
        elem[me] = w;
        finish(w, c, true);
        done = true
    :: else -> done = false
    fi
}

inline wake_partner() {
    if
    :: w != NOBODY -> ready(w)
    :: else
    fi;
    w = NOBODY
}

inline got_value(me) {
    atomic {
        assert(elem[me] != NOBODY && !received[elem[me]]);
        received[elem[me]] = true
    }
}

inline park_unlock(g, c) {
    /* the commit, when g is off its stack */
    off_stack[g] = true;
    unlock(c)
}

#define resumed(g) atomic { woken[g] -> woken[g] = false; off_stack[g] = false }

proctype sender(byte g; byte c) {
    byte w = NOBODY;
    bool done, won;

    lock(c);
    if
    :: closed[c] -> unlock(c)
    :: else ->
        send_now(g, c);
        if
        :: done -> unlock(c); wake_partner()
        :: else ->
            atomic { frame[g] = true; senders[c] ! g };
            park_unlock(g, c);
end_waits:
            resumed(g);
            frame[g] = false;
            assert(success[g] || closed[c])
        fi
    fi
}

proctype receiver(byte g; byte c) {
    byte w = NOBODY;
    bool done, won;

    lock(c);
    recv_now(g, c);
    if
    :: done -> unlock(c); wake_partner(); got_value(g)
    :: !done && closed[c] -> unlock(c)
    :: !done && !closed[c] ->
        atomic { frame[g] = true; receivers[c] ! g };
        park_unlock(g, c);
end_waits:
        resumed(g);
        frame[g] = false;
        if
        :: success[g] -> got_value(g)
        :: else -> assert(closed[c])
        fi
    fi
}

/* attempt(): under c's lock. A closed channel is ready either way. */
inline attempt(g, c) {
    w = NOBODY;
    if
    :: sends && closed[c] -> done = true
    :: sends && !closed[c] -> send_now(g, c)
    :: !sends ->
        recv_now(g, c);
        ok = done;
        done = done || closed[c]
    fi
}

inline queue_on(g, c) {
    if
    :: sends -> senders[c] ! g
    :: else -> receivers[c] ! g
    fi
}

inline remove_from(g, c) {
    if
    :: sends && senders[c] ?? [eval(g)] -> senders[c] ?? eval(g)
    :: !sends && receivers[c] ?? [eval(g)] -> receivers[c] ?? eval(g)
    :: else
    fi
}

/* first, second: the cases, in the order in which they are looked at. */
proctype selection(byte g; bool sends; byte first) {
    byte w = NOBODY;
    byte second = 1 - first;
    byte lo = 0, hi = 1;
    bool done, won, ok;

#ifdef UNORDERED
    lo = first;
    hi = second;
#endif
    is_select[g] = true;
    /* try_one: one that looked ready */
    if
    :: lock(first); attempt(g, first); unlock(first);
        wake_partner();
        if
        :: done -> goto fired
        :: else
        fi
    :: true
    fi;
    /* decide */
#ifndef ONE_LOCK
    lock(lo);
    lock(hi);
#else
    lock(first);
#endif
    attempt(g, first);
    if
    :: done ->
        unlock(first);
#ifndef ONE_LOCK
        unlock(second);
#endif
        wake_partner();
        goto fired
    :: else
    fi;
#ifdef ONE_LOCK
    unlock(first);
    lock(second);
#endif
    attempt(g, second);
    if
    :: done ->
#ifndef ONE_LOCK
        unlock(first);
#endif
        unlock(second);
        wake_partner();
        goto fired
    :: else
    fi;
#ifdef ONE_LOCK
    unlock(second);
    lock(lo);
    frame[g] = true;
    queue_on(g, lo);
    unlock(lo);
    lock(hi);
    queue_on(g, hi);
    off_stack[g] = true;
    unlock(hi);
#else
    /* wait */
    frame[g] = true;
    queue_on(g, lo);
    queue_on(g, hi);
#ifdef PARK_LATE
    unlock(lo);
    unlock(hi);
    assert(!claim[g]);
    off_stack[g] = true;
#else
    off_stack[g] = true;
    unlock(lo);
    unlock(hi);
#endif
#endif
end_waits:
    resumed(g);
    lock(lo);
    lock(hi);
#ifndef NO_REMOVE
    atomic { remove_from(g, lo); remove_from(g, hi) };
#endif
    unlock(lo);
    unlock(hi);
    frame[g] = false;
    ok = success[g];
    first = param[g];
    assert(ok || closed[first]);
fired:
    if
    :: ok && !sends -> got_value(g)
    :: else
    fi
}

proctype closer(byte c) {
    byte w = NOBODY;
    byte first = NOBODY, second = NOBODY, third = NOBODY;
    bool won;

    lock(c);
    closed[c] = true;
    /* all of them are taken out first */
    do
    :: pop(receivers[c], w);
        if
        :: w == NOBODY -> break
        :: else -> third = second; second = first; first = w
        fi
    od;
    do
    :: pop(senders[c], w);
        if
        :: w == NOBODY -> break
        :: else -> third = second; second = first; first = w
        fi
    od;
    unlock(c);
    do
    :: first == NOBODY -> break
    :: else ->
        finish(first, c, false);
        ready(first);
        atomic { first = second; second = third; third = NOBODY }
    od
}

/* Nobody who could go on waits. */
inline nobody_could_go_on(c) {
    assert(len(senders[c]) == 0 || len(receivers[c]) == 0);
    assert(!closed[c] || len(senders[c]) + len(receivers[c]) == 0)
}

init {
    byte i, g;
    atomic {
        i = 0;
        do
        :: i < SENDERS -> run sender(g, i % 2); g++; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < RECEIVERS -> run receiver(g, i % 2); g++; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SELECTS ->
            if
            :: i == 1 && SECOND_SENDS -> run selection(g, true, 1)
            :: else -> run selection(g, false, i)
            fi;
            g++; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < CLOSERS -> run closer(0); i++
        :: else -> break
        od
    };
    timeout;
    nobody_could_go_on(0);
    nobody_could_go_on(1)
}
