package main

import "time"

// panic_recover: a panic that a deferred call of the same frame recovers.
func panicRecover(n int, _ counters) time.Duration {
	start := time.Now()
	for i := 0; i < n; i++ {
		recovering(i)
	}
	return time.Since(start)
}

//go:noinline
func recovering(i int) {
	defer func() { recovered = recover() }()
	panic(i)
}

var recovered any

// defer_call: a deferred call in a frame of its own, nothing goes wrong.
func deferCall(n int, _ counters) time.Duration {
	x := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		withDefer(&x)
	}
	return time.Since(start)
}

//go:noinline
func withDefer(x *int) {
	defer func() { *x++ }()
}
