package main

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

const levels = 100000

type parent struct {
	up    *parent
	words [6]int
}

// A frame with 48 bytes of its own and a look at the caller's.
//
//go:noinline
func descend(up *parent, n int) int {
	self := parent{up, [6]int{n, n, n, n, n, n}}
	if n == 0 {
		return 0
	}
	return descend(&self, n-1) + self.words[3] - up.words[2] + 1
}

//go:noinline
func timeOfDescent() time.Duration {
	top := parent{nil, [6]int{levels, levels, levels, levels, levels, levels}}
	start := time.Now()
	descend(&top, levels)
	return time.Since(start)
}

// recursion: 100,000 levels. One op: one descent, by a goroutine's first and second.
func recursion(number int) func(int, counters) time.Duration {
	return func(_ int, _ counters) time.Duration {
		result := make(chan time.Duration)
		go func() {
			var last time.Duration
			for i := 0; i < number; i++ {
				last = timeOfDescent()
			}
			result <- last
		}()
		return <-result
	}
}

//go:noinline
func useLibraries(i int) (n int) {
	text := fmt.Sprintf("%d %f", i, float64(i)*0.5)
	defer func() {
		n = len(recover().(string))
	}()
	panic(text)
}

// parked_dense: a million goroutines; each formats a number, makes a string, panics and recovers,
// then blocks on one channel. One op: the whole million. Counter: resident memory of each.
func parkedDense(_ int, c counters) time.Duration {
	before := resident()
	var ready int64
	gate := make(chan int)
	start := time.Now()
	for i := 0; i < crowd; i++ {
		i := i
		go func() {
			if useLibraries(i) < 3 {
				panic("parked_dense")
			}
			atomic.AddInt64(&ready, 1)
			<-gate
		}()
	}
	for atomic.LoadInt64(&ready) != crowd {
		runtime.Gosched()
	}
	d := time.Since(start)
	c["bytes_each"] = (resident() - before) / crowd
	return d
}
