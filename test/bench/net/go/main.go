// Go's side of the benchmarks of net; ../wire.hpp says what the modes are. `net-go echo|hello|http`:
// the first two are a goroutine per connection, the third is net/http.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

const (
	bufferBytes = 4096
	hello       = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"
)

var (
	endOfRequest = []byte("\r\n\r\n")
	allAnswers   = bytes.Repeat([]byte(hello), bufferBytes/len(endOfRequest))
)

func echo(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, bufferBytes)
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		if _, err = c.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func findRequests(text []byte) (count, size int) {
	for {
		at := bytes.Index(text[size:], endOfRequest)
		if at < 0 {
			return
		}
		count++
		size += at + len(endOfRequest)
	}
}

func sayHello(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, bufferBytes)
	have := 0
	for have < len(buffer) {
		n, err := c.Read(buffer[have:])
		if err != nil {
			return
		}
		have += n
		count, size := findRequests(buffer[:have])
		if count == 0 {
			continue
		}
		if _, err = c.Write(allAnswers[:count*len(hello)]); err != nil {
			return
		}
		have = copy(buffer, buffer[size:have])
	}
}

func serve(l net.Listener, one func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go one(c)
	}
}

func serveHTTP(l net.Listener) error {
	text := []byte("Hello, world!")
	return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(text)
	}))
}

func main() {
	modes := map[string]func(net.Listener) error{
		"echo":  func(l net.Listener) error { return serve(l, echo) },
		"hello": func(l net.Listener) error { return serve(l, sayHello) },
		"http":  serveHTTP,
	}
	if len(os.Args) != 2 || modes[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: net-go echo|hello|http")
		os.Exit(2)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err == nil {
		fmt.Println(l.Addr().(*net.TCPAddr).Port)
		go func() {
			io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		err = modes[os.Args[1]](l)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
