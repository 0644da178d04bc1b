package main

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const sharers = 8
const mapKeys = 1024

// sharedBy runs n operations, shared by as many goroutines.
func sharedBy(goroutines, n int, work func(g, i int)) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	for g := 0; g < goroutines; g++ {
		wg.Add(1)
		go func(g int) {
			for i := 0; i < n/goroutines; i++ {
				work(g, i)
			}
			wg.Done()
		}(g)
	}
	wg.Wait()
	return time.Since(start)
}

// rw_read. One op: a reader's lock and unlock.
func rwRead(n int, _ counters) time.Duration {
	var m sync.RWMutex
	start := time.Now()
	for i := 0; i < n; i++ {
		m.RLock()
		m.RUnlock()
	}
	return time.Since(start)
}

func rwReadShared(n int, _ counters) time.Duration {
	var m sync.RWMutex
	return sharedBy(sharers, n, func(_, _ int) {
		m.RLock()
		m.RUnlock()
	})
}

// rw_mixed: every 16th writes.
func rwMixed(n int, _ counters) time.Duration {
	var m sync.RWMutex
	written := 0
	return sharedBy(sharers, n, func(_, i int) {
		if i%16 == 0 {
			m.Lock()
			written++
			m.Unlock()
		} else {
			m.RLock()
			_ = written
			m.RUnlock()
		}
	})
}

// cond_pingpong: two goroutines take turns. One op: one turn.
func condPingpong(n int, _ counters) time.Duration {
	var m sync.Mutex
	changed := sync.NewCond(&m)
	turn := 0
	var both sync.WaitGroup
	start := time.Now()
	for me := 0; me < 2; me++ {
		both.Add(1)
		go func(me int) {
			for i := 0; i < n/2; i++ {
				m.Lock()
				for turn != me {
					changed.Wait()
				}
				turn = 1 - me
				changed.Signal()
				m.Unlock()
			}
			both.Done()
		}(me)
	}
	both.Wait()
	return time.Since(start)
}

func once(n int, _ counters) time.Duration {
	var o sync.Once
	calls := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		o.Do(func() { calls++ })
	}
	if calls != 1 {
		panic("once")
	}
	return time.Since(start)
}

type block struct{ bytes [256]byte }

func pool(n int, _ counters) time.Duration {
	p := sync.Pool{New: func() any { return new(block) }}
	return sharedBy(sharers, n, func(_, _ int) {
		b := p.Get().(*block)
		b.bytes[0]++
		p.Put(b)
	})
}

// map_...: 1024 keys, eight goroutines; one operation in `every` stores.
func syncMap(every int) func(n int, _ counters) time.Duration {
	return func(n int, _ counters) time.Duration {
		var m sync.Map
		for k := 0; k < mapKeys; k++ {
			m.Store(k, k)
		}
		return sharedBy(sharers, n, func(g, i int) {
			k := (i*7 + g*131) % mapKeys
			if i%every == 0 {
				m.Store(k, i)
			} else if _, ok := m.Load(k); !ok {
				panic("map")
			}
		})
	}
}

// weighted is golang.org/x/sync/semaphore in its plainest form: a mutex, a count, and a list of those that wait.
type weighted struct {
	size, cur int64
	mu        sync.Mutex
	waiters   list.List
}

type weightedWaiter struct {
	n     int64
	ready chan struct{}
}

func (s *weighted) acquire(n int64) {
	s.mu.Lock()
	if s.size-s.cur >= n && s.waiters.Len() == 0 {
		s.cur += n
		s.mu.Unlock()
		return
	}
	w := weightedWaiter{n, make(chan struct{})}
	s.waiters.PushBack(w)
	s.mu.Unlock()
	<-w.ready
}

func (s *weighted) release(n int64) {
	s.mu.Lock()
	s.cur -= n
	for {
		next := s.waiters.Front()
		if next == nil || s.size-s.cur < next.Value.(weightedWaiter).n {
			break
		}
		w := next.Value.(weightedWaiter)
		s.cur += w.n
		s.waiters.Remove(next)
		close(w.ready)
	}
	s.mu.Unlock()
}

func semaphore(n int, _ counters) time.Duration {
	s := weighted{size: 10}
	start := time.Now()
	for i := 0; i < n; i++ {
		s.acquire(3)
		s.release(3)
	}
	return time.Since(start)
}

func semaphoreContended(n int, _ counters) time.Duration {
	s := weighted{size: 2}
	return sharedBy(sharers, n, func(_, _ int) {
		s.acquire(1)
		runtime.Gosched()
		s.release(1)
	})
}

// context_cancel. One op: a child made and cancelled.
func contextCancel(n int, _ counters) time.Duration {
	root, stop := context.WithCancel(context.Background())
	defer stop()
	start := time.Now()
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithCancel(root)
		cancel()
		if ctx.Err() == nil {
			panic("context_cancel")
		}
	}
	return time.Since(start)
}

// context_children. One op: a context with 1000 children is made and cancelled.
func contextChildren(n int, _ counters) time.Duration {
	start := time.Now()
	for i := 0; i < n; i++ {
		ctx, cancel := context.WithCancel(context.Background())
		children := make([]context.Context, 0, 1000)
		for k := 0; k < 1000; k++ {
			child, _ := context.WithCancel(ctx)
			children = append(children, child)
		}
		cancel()
		if children[999].Err() == nil {
			panic("context_children")
		}
	}
	return time.Since(start)
}

// group_1000. One op: a group of 1000 tasks, waited for: what golang.org/x/sync/errgroup does.
func group1000(n int, _ counters) time.Duration {
	var ran int64
	start := time.Now()
	for i := 0; i < n; i++ {
		_, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		var errOnce sync.Once
		for k := 0; k < 1000; k++ {
			wg.Add(1)
			f := func() error { atomic.AddInt64(&ran, 1); return nil }
			go func() {
				defer wg.Done()
				if err := f(); err != nil {
					errOnce.Do(cancel)
				}
			}()
		}
		wg.Wait()
		cancel()
	}
	if ran != int64(n)*1000 {
		panic("group_1000")
	}
	return time.Since(start)
}
