package main

import "time"

// numbers sends 0, 1, 2 ... until done is closed: what Go had for the purpose before iter.Pull.
func numbers(values chan<- int, done <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case values <- i:
		case <-done:
			close(values)
			return
		}
	}
}

// coro_next. One op: one value from the sequence.
func coroNext(n int, _ counters) time.Duration {
	values, done := make(chan int), make(chan struct{})
	go numbers(values, done)
	sum := <-values
	start := time.Now()
	for i := 0; i < n; i++ {
		sum += <-values
	}
	taken := time.Since(start)
	close(done)
	if sum != n*(n+1)/2 {
		panic("coro_next")
	}
	return taken
}

// coro_create. One op: a sequence made, one value taken, and stopped.
func coroCreate(n int, _ counters) time.Duration {
	sum := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		values, done := make(chan int), make(chan struct{})
		go numbers(values, done)
		sum += <-values + 1
		close(done)
		<-values
	}
	taken := time.Since(start)
	if sum < n {
		panic("coro_create")
	}
	return taken
}
