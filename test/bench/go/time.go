package main

import (
	"math"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	turns          = 5
	timers         = 1000000
	sleepersAtOnce = 100000
	ticks          = 200
	shortNaps      = 200
)

// The same numbers in ../time_bench.cpp.
type dice uint64

func (x *dice) below(n uint64) time.Duration {
	*x = *x*6364136223846793005 + 1442695040888963407
	return time.Duration(uint64(*x) >> 33 % n)
}

func minimum(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

// timer_create_stop. One op: one timer of an hour with a channel made, stopped and dropped.
func timerCreateStop(n int, _ counters) time.Duration {
	start := time.Now()
	for i := 0; i < n; i++ {
		if !time.NewTimer(time.Hour).Stop() {
			panic("timer_create_stop")
		}
	}
	return time.Since(start)
}

// timer_func_create_stop. The same with a function.
func timerFuncCreateStop(n int, _ counters) time.Duration {
	start := time.Now()
	for i := 0; i < n; i++ {
		if !time.AfterFunc(time.Hour, func() {}).Stop() {
			panic("timer_func_create_stop")
		}
	}
	return time.Since(start)
}

// timer_reset: one timer with a function, to 2 h and to 1 h from now in turn. One op: one reset.
func timerReset(n int, _ counters) time.Duration {
	away := [...]time.Duration{2 * time.Hour, time.Hour}
	t := time.AfterFunc(time.Hour, func() {})
	start := time.Now()
	for i := 0; i < n; i++ {
		if !t.Reset(away[i%2]) {
			panic("timer_reset")
		}
	}
	d := time.Since(start)
	if !t.Stop() {
		panic("timer_reset: fired")
	}
	return d
}

// timers_pending: a million timers with functions, an hour away and a microsecond apart, on fresh
// memory. One op: one of them started. Counters: resident memory and page tables of each, handle
// included; and what it took to stop it.
func timersPending(_ int, c counters) time.Duration {
	all := make([]*time.Timer, 0, timers)
	before := resident()
	start := time.Now()
	for i := 0; i < timers; i++ {
		d := time.Hour + time.Duration(i)*time.Microsecond
		all = append(all, time.AfterFunc(d, func() {}))
	}
	d := time.Since(start)
	c["bytes_each"] = (resident() - before) / timers
	stopping := time.Now()
	for _, t := range all {
		if !t.Stop() {
			panic("timers_pending")
		}
	}
	c["stop_ns"] = time.Since(stopping).Seconds() / timers * 1e9
	return (d + timers/2) / timers
}

// after_select: the usual time-out, one second that never passes, made anew for each receive from a
// channel that has something. That channel is filled while the clock stands. One op: one such select.
func afterSelect(n int, _ counters) time.Duration {
	c := make(chan int, stock)
	var total time.Duration
	for done := 0; done < n; {
		m := fill(c, n-done)
		start := time.Now()
		for i := 0; i < m; i++ {
			t := time.NewTimer(time.Second)
			select {
			case <-c:
			case <-t.C:
				panic("after_select: timed out")
			}
			t.Stop()
		}
		total += time.Since(start)
		done += m
	}
	return total
}

func oversleptByAll() []time.Duration {
	late := make([]time.Duration, sleepersAtOnce)
	var ready int64
	gate := make(chan int)
	var all sync.WaitGroup
	random := dice(1)
	for i := range late {
		mine := &late[i]
		nap := time.Millisecond + random.below(99000001)
		all.Add(1)
		go func() {
			atomic.AddInt64(&ready, 1)
			<-gate
			start := time.Now()
			time.Sleep(nap)
			*mine = time.Since(start) - nap
			all.Done()
		}()
	}
	for atomic.LoadInt64(&ready) != sleepersAtOnce {
		runtime.Gosched()
	}
	close(gate)
	all.Wait()
	sort.Slice(late, func(i, k int) bool { return late[i] < late[k] })
	return late
}

// sleepers: 100,000 goroutines wait at a gate; when it opens, each sleeps once, 1 to 100 ms. One op:
// the 99th percentile of what they overslept, each counted from its own call. Counters: the same and
// the middle, in us.
func sleepers(_ int, c counters) time.Duration {
	p50, p99 := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for i := 0; i < turns; i++ {
		late := oversleptByAll()
		p50 = minimum(p50, late[sleepersAtOnce/2])
		p99 = minimum(p99, late[sleepersAtOnce*99/100])
	}
	c["p50_us"] = p50.Seconds() * 1e6
	c["p99_us"] = p99.Seconds() * 1e6
	return p99
}

// sleep_short: one goroutine sleeps 50 us again and again, nothing else to do. One op: what it
// overslept, in the mean.
func sleepShort(int, counters) time.Duration {
	const nap = 50 * time.Microsecond
	least := time.Duration(math.MaxInt64)
	for turn := 0; turn < turns; turn++ {
		start := time.Now()
		for i := 0; i < shortNaps; i++ {
			time.Sleep(nap)
		}
		least = minimum(least, time.Since(start)/shortNaps-nap)
	}
	return least
}

func latenessOfTicks() (mean, sinceDue time.Duration) {
	const interval = time.Millisecond
	start := time.Now()
	t := time.NewTicker(interval)
	for k := 1; k <= ticks; k++ {
		<-t.C
		elapsed := time.Since(start)
		mean += elapsed - time.Duration(k)*interval
		sinceDue += elapsed % interval
	}
	t.Stop()
	return mean / ticks, sinceDue / ticks
}

// ticker_drift: a ticker of 1 ms, one reader. One op: how long after start + k * 1 ms the k-th of
// 200 ticks arrived, in the mean; a tick that was dropped makes all later ones late. Counter: how
// long after the last whole millisecond since start, in us.
func tickerDrift(_ int, c counters) time.Duration {
	least, leastSinceDue := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for i := 0; i < turns; i++ {
		mean, sinceDue := latenessOfTicks()
		least, leastSinceDue = minimum(least, mean), minimum(leastSinceDue, sinceDue)
	}
	c["since_due_us"] = leastSinceDue.Seconds() * 1e6
	return least
}
