package main

import (
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	wakes      = 300
	hogsOf50ms = 1000
)

func spin(stop *uint32) {
	for atomic.LoadUint32(stop) == 0 {
	}
}

// preempt_delay: one goroutine loops without a call for each P; another comes back from system calls
// of 7 to 11 ms and waits for its turn. One op: the 99th percentile of that wait, system call included.
// Counters: the same and the middle, in ms.
func preemptDelay(_ int, c counters) time.Duration {
	var stop uint32
	for i := 0; i < runtime.GOMAXPROCS(0); i++ {
		go spin(&stop)
	}
	late := []time.Duration{}
	for i := 0; i < wakes; i++ {
		nap := time.Duration(7+i%5) * time.Millisecond
		ts := syscall.NsecToTimespec(int64(nap))
		start := time.Now()
		for syscall.Nanosleep(&ts, &ts) == syscall.EINTR {
		}
		late = append(late, time.Since(start)-nap)
	}
	atomic.StoreUint32(&stop, 1)
	sort.Slice(late, func(i, k int) bool { return late[i] < late[k] })
	c["p50_ms"] = late[wakes/2].Seconds() * 1e3
	c["p99_ms"] = late[wakes*99/100].Seconds() * 1e3
	return late[wakes*99/100]
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		panic("getrusage")
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func compute(rounds int) uint64 {
	x := uint64(1)
	for i := 0; i < rounds; i++ {
		x = work(x)
	}
	return x
}

// preempt_hogs: goroutines of 50 ms of computing each; a fifth of them on one P, to save time. One
// op: all of them. Counters: wall time of all Ps over CPU time.
func preemptHogs(_ int, c counters) time.Duration {
	procs := runtime.GOMAXPROCS(0)
	n := hogsOf50ms
	if procs == 1 {
		n /= 5
	}
	const sample = 2000
	before := cpuTime()
	var sink uint64 = compute(sample)
	rounds := int(0.05 * sample / (cpuTime() - before).Seconds())
	cpu := cpuTime()
	start := time.Now()
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddUint64(&sink, compute(rounds))
			all.Done()
		}()
	}
	all.Wait()
	wall := time.Since(start)
	c["wall_over_cpu"] = wall.Seconds() * float64(procs) / (cpuTime() - cpu).Seconds()
	return wall
}
