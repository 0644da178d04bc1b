// The Go side of the comparison: the same work as ../vole_bench.cpp and ../boost_bench.cpp, in
// plain Go with the standard library only.
//
// A benchmark is a function of n that does n operations and returns how long they took; what one
// operation is stands beside each. The harness below calibrates n as Google Benchmark does, takes
// its three flags of the same name and prints the same JSON, so that one driver reads all sides.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

type counters map[string]float64

type bench struct {
	name string
	once bool // one run per process, not calibrated
	f    func(n int, c counters) time.Duration
}

var benches = []bench{
	{"yield", false, yield},
	{"spawn_exit", false, spawnExit},
	{"pingpong", false, pingpong},
	{"pingpong_pairs", false, pingpongPairs},
	{"pingpong_locked", false, pingpongLocked},
	{"buffered", false, buffered},
	{"select_ready_2", false, selectReady2},
	{"select_ready_8", false, selectReady8},
	{"select_blocked_2", false, selectBlocked2},
	{"select_blocked_8", false, selectBlocked8},
	{"mutex", false, mutexAlone},
	{"mutex_contended", false, mutexContended},
	{"skynet", true, skynet},
	{"parked", true, parked},
	{"parked_nogc", true, parkedNoGC},
	{"steal_balance", false, stealBalance},
	{"recursion_first", true, recursion(1)},
	{"recursion_again", true, recursion(2)},
	{"parked_dense", true, parkedDense},
	{"preempt_delay", true, preemptDelay},
	{"preempt_hogs", true, preemptHogs},
	{"panic_recover", false, panicRecover},
	{"defer_call", false, deferCall},
	{"coro_next", false, coroNext},
	{"coro_create", false, coroCreate},
	{"rw_read", false, rwRead},
	{"rw_read_shared", false, rwReadShared},
	{"rw_mixed", false, rwMixed},
	{"cond_pingpong", false, condPingpong},
	{"once", false, once},
	{"pool", false, pool},
	{"map_read_mostly", false, syncMap(16)},
	{"map_write_heavy", false, syncMap(2)},
	{"semaphore", false, semaphore},
	{"semaphore_contended", false, semaphoreContended},
	{"context_cancel", false, contextCancel},
	{"context_children", false, contextChildren},
	{"group_1000", false, group1000},
	{"timer_create_stop", false, timerCreateStop},
	{"timer_func_create_stop", false, timerFuncCreateStop},
	{"timer_reset", false, timerReset},
	{"timers_pending", true, timersPending},
	{"after_select", false, afterSelect},
	{"sleepers", true, sleepers},
	{"sleep_short", true, sleepShort},
	{"ticker_drift", true, tickerDrift},
}

// yield: two goroutines, n/2 calls each. One op: one call of Gosched.
func yield(n int, _ counters) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(2)
	for k := 0; k < 2; k++ {
		go func() {
			for i := 0; i < n/2; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return time.Since(start)
}

// spawn_exit. One op: one goroutine started, run to its end and waited for.
func spawnExit(n int, _ counters) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func() { wg.Done() }()
		wg.Wait()
	}
	return time.Since(start)
}

// bounce is one side's partner in a ping-pong; it ends when ping is closed.
func bounce(ping, pong chan int) {
	for v := range ping {
		pong <- v
	}
	close(pong)
}

// pingpong: two goroutines, two unbuffered channels. One op: one hop, half of a round trip.
func pingpong(n int, _ counters) time.Duration {
	ping, pong := make(chan int), make(chan int)
	go bounce(ping, pong)
	start := time.Now()
	for i := 0; i < n/2; i++ {
		ping <- i
		<-pong
	}
	d := time.Since(start)
	close(ping)
	<-pong
	return d
}

const pairs = 32

// pingpong_pairs: 32 pairs at once, so that every P has work. One op: one hop of any pair.
func pingpongPairs(n int, _ counters) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(pairs)
	for k := 0; k < pairs; k++ {
		go func() {
			ping, pong := make(chan int), make(chan int)
			go bounce(ping, pong)
			for i := 0; i < n/2/pairs; i++ {
				ping <- i
				<-pong
			}
			close(ping)
			<-pong
			wg.Done()
		}()
	}
	wg.Wait()
	return time.Since(start)
}

// pingpong_locked: both goroutines locked to threads of their own, hence always across threads
// and Ps. One op: one hop.
func pingpongLocked(n int, _ counters) time.Duration {
	ping, pong := make(chan int), make(chan int)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		bounce(ping, pong)
	}()
	start := time.Now()
	for i := 0; i < n/2; i++ {
		ping <- i
		<-pong
	}
	d := time.Since(start)
	close(ping)
	<-pong
	return d
}

// buffered: one producer, one consumer, capacity 128. One op: one item sent and received.
func buffered(n int, _ counters) time.Duration {
	c := make(chan int, 128)
	start := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			c <- i
		}
		close(c)
	}()
	for range c {
	}
	return time.Since(start)
}

const stock = 1024

// fill puts up to one stock into c and says how many.
func fill(c chan int, left int) int {
	if left > stock {
		left = stock
	}
	for i := 0; i < left; i++ {
		c <- i
	}
	return left
}

// select_ready: the first channel holds a stock of values, filled while the clock stands; the
// others are empty. One op: one select that takes a value at once.
func selectReady2(n int, _ counters) time.Duration {
	a, b := make(chan int, stock), make(chan int, stock)
	var total time.Duration
	for done := 0; done < n; {
		m := fill(a, n-done)
		start := time.Now()
		for i := 0; i < m; i++ {
			select {
			case <-a:
			case <-b:
			}
		}
		total += time.Since(start)
		done += m
	}
	return total
}

func selectReady8(n int, _ counters) time.Duration {
	var c [8]chan int
	for i := range c {
		c[i] = make(chan int, stock)
	}
	var total time.Duration
	for done := 0; done < n; {
		m := fill(c[0], n-done)
		start := time.Now()
		for i := 0; i < m; i++ {
			select {
			case <-c[0]:
			case <-c[1]:
			case <-c[2]:
			case <-c[3]:
			case <-c[4]:
			case <-c[5]:
			case <-c[6]:
			case <-c[7]:
			}
		}
		total += time.Since(start)
		done += m
	}
	return total
}

// feed sends n values over the channels in turn, each after the acknowledgement of the last.
func feed(n int, c []chan int, ack chan int) {
	for i := 0; i < n; i++ {
		c[i%len(c)] <- i
		<-ack
	}
}

// select_blocked: unbuffered channels, served in turn by a partner that waits for an
// acknowledgement before it sends again, so that the select always finds nothing and parks.
// One op: one parked select, woken, and its acknowledgement.
func selectBlocked2(n int, _ counters) time.Duration {
	c := []chan int{make(chan int), make(chan int)}
	ack := make(chan int)
	go feed(n, c, ack)
	a, b := c[0], c[1]
	start := time.Now()
	for i := 0; i < n; i++ {
		select {
		case <-a:
		case <-b:
		}
		ack <- i
	}
	return time.Since(start)
}

func selectBlocked8(n int, _ counters) time.Duration {
	var c [8]chan int
	for i := range c {
		c[i] = make(chan int)
	}
	ack := make(chan int)
	go feed(n, c[:], ack)
	start := time.Now()
	for i := 0; i < n; i++ {
		select {
		case <-c[0]:
		case <-c[1]:
		case <-c[2]:
		case <-c[3]:
		case <-c[4]:
		case <-c[5]:
		case <-c[6]:
		case <-c[7]:
		}
		ack <- i
	}
	return time.Since(start)
}

// mutex: nobody else wants it. One op: one lock and unlock around an increment.
func mutexAlone(n int, _ counters) time.Duration {
	var mu sync.Mutex
	count := 0
	start := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		count++
		mu.Unlock()
	}
	d := time.Since(start)
	if count != n {
		panic("mutex: lost an increment")
	}
	return d
}

const contenders = 64

// mutex_contended: 64 goroutines on one mutex. One op: one lock and unlock around an increment.
func mutexContended(n int, _ counters) time.Duration {
	var mu sync.Mutex
	var wg sync.WaitGroup
	count := 0
	start := time.Now()
	wg.Add(contenders)
	for k := 0; k < contenders; k++ {
		go func() {
			for i := 0; i < n/contenders; i++ {
				mu.Lock()
				count++
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	d := time.Since(start)
	if count != n/contenders*contenders {
		panic("mutex_contended: lost an increment")
	}
	return d
}

func skynetNode(parent chan<- int, num, size int) {
	if size == 1 {
		parent <- num
		return
	}
	c := make(chan int)
	for i := 0; i < 10; i++ {
		go skynetNode(c, num+i*(size/10), size/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-c
	}
	parent <- sum
}

func skynetOnce() {
	c := make(chan int)
	go skynetNode(c, 0, 1000000)
	if <-c != 499999500000 {
		panic("skynet: wrong sum")
	}
}

// skynet: a tree of goroutines ten wide and six deep, a million leaves; every node sums its
// children over one unbuffered channel. One op: one whole tree. One tree before the clock runs.
func skynet(n int, _ counters) time.Duration {
	skynetOnce()
	start := time.Now()
	for i := 0; i < n; i++ {
		skynetOnce()
	}
	return time.Since(start)
}

const crowd = 1000000

// parked: a million goroutines started; each reports itself and blocks on one channel. One op:
// the whole million; the clock stops when the last has reported. Fresh memory, on purpose: this
// is what a program pays that does it once. Counter: resident memory and page tables of each.
func parked(_ int, c counters) time.Duration {
	before := resident()
	var ready int64
	gate := make(chan int)
	start := time.Now()
	for i := 0; i < crowd; i++ {
		go func() {
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

// parked_nogc: the same with Go's collector off, which C++ does not have: what remains is
// scheduler and stacks.
func parkedNoGC(n int, c counters) time.Duration {
	debug.SetGCPercent(-1)
	return parked(n, c)
}

// resident is this process's memory in RAM and its page tables, in bytes.
func resident() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	sum := 0.0
	for s := bufio.NewScanner(f); s.Scan(); {
		word := strings.Fields(s.Text())
		if len(word) > 1 && (word[0] == "VmRSS:" || word[0] == "VmPTE:") {
			kb, _ := strconv.ParseFloat(word[1], 64)
			sum += kb * 1024
		}
	}
	return sum
}

var sink uint64

// work is a few microseconds of dependent arithmetic that no compiler folds.
func work(x uint64) uint64 {
	for i := 0; i < 4096; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	return x
}

const burst = 1024

// steal_balance: one goroutine starts bursts of 1024 tasks of a few microseconds each and waits
// for each burst; the other Ps can only live by stealing. One op: one task.
// Counter: what the work of one task takes alone; the driver makes the balance of it.
func stealBalance(n int, c counters) time.Duration {
	t := time.Now()
	for i := 0; i < burst; i++ {
		sink += work(uint64(i))
	}
	alone := time.Since(t).Seconds() / burst
	var sum uint64
	start := time.Now()
	for done := 0; done < n; {
		m := n - done
		if m > burst {
			m = burst
		}
		var wg sync.WaitGroup
		wg.Add(m)
		for i := 0; i < m; i++ {
			i := i
			go func() {
				atomic.AddUint64(&sum, work(uint64(i)))
				wg.Done()
			}()
		}
		wg.Wait()
		done += m
	}
	d := time.Since(start)
	sink += sum
	c["work_ns"] = alone * 1e9
	return d
}

func main() {
	filter := flag.String("benchmark_filter", "", "regular expression of benchmarks to run")
	minTime := flag.Float64("benchmark_min_time", 0.5, "seconds one measurement takes at least")
	_ = flag.String("benchmark_format", "json", "only json")
	flag.Parse()
	want := regexp.MustCompile(*filter)
	results := []map[string]interface{}{}
	for _, b := range benches {
		name := b.name + "/manual_time"
		if !want.MatchString(name) {
			continue
		}
		c := counters{}
		n := 1
		runtime.GC()
		d := b.f(n, c)
		for !b.once && d.Seconds() < *minTime {
			grow := 10.0
			if d.Seconds() > *minTime/10 {
				grow = *minTime * 1.4 / d.Seconds()
			}
			n = int(float64(n)*grow) + 1
			runtime.GC()
			d = b.f(n, c)
		}
		r := map[string]interface{}{
			"name": name, "iterations": n, "time_unit": "ns",
			"real_time": float64(d.Nanoseconds()) / float64(n),
		}
		for k, v := range c {
			r[k] = v
		}
		results = append(results, r)
	}
	out, err := json.MarshalIndent(map[string]interface{}{
		"context":    map[string]string{"go_version": runtime.Version()},
		"benchmarks": results,
	}, "", "  ")
	if err != nil {
		panic(err)
	}
	fmt.Println(string(out))
}
