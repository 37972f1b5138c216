// Capacity holds the memory model of sysprep against what a pushd and this machine's kernel really take: it starts a pushd,
// opens connections to it over loopback, and prints what was predicted and what was measured, idle and with a message on its
// way to everybody.
//
//	go run ./scripts/capacity [-bin bin] [-n 5000,15000] [-msg-bytes 1000] [-runs 3]
//
// The clients are plain sockets without epoll, in a process of their own, so that a connection is two sockets and one
// registration here. It needs root for /proc/slabinfo, 20,000 open files, and a machine on which nothing else opens files
// meanwhile; it uses loopback only, and ends by itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/sysprep"
)

// lifetime bounds every process that is started here.
const lifetime = 2 * time.Minute

func main() {
	bin := flag.String("bin", "bin", "directory of pushd")
	sizes := flag.String("n", "5000,15000", "numbers of connections, parted by commas")
	msgBytes := flag.Int("msg-bytes", 1000, "bytes of the message to everybody")
	runs := flag.Int("runs", 3, "runs of each number, of which the median counts")
	hold := flag.String("hold", "", "be the clients: ADDRESS,N")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *hold != "" {
		err = holdClients(*hold)
	} else {
		err = run(ctx, *bin, *sizes, *msgBytes, *runs)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

// run measures every size and prints a table.
func run(ctx context.Context, bin, sizes string, msgBytes, runs int) error {
	h, err := sysprep.Open("/")
	if err != nil {
		return err
	}
	m := h.Model(sysprep.Target{N: 1, MsgBytes: int64(msgBytes)})
	from := "of /proc/slabinfo"
	if m.SocketsAssume {
		from = "assumed"
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") //nolint:errcheck // only shown
	fmt.Printf("Linux %s; socket %d B, registration %d B (%s); pushd %d B + %d B for each; medians of %d runs\n\n",
		strings.TrimSpace(string(kernel)), m.SocketBytes, m.EpollBytes, from, m.UserBaseBytes, m.UserBytes, runs)
	fmt.Printf("%-12s %-34s %12s %12s %8s\n", "connections", "", "predicted", "measured", "error")
	for s := range strings.SplitSeq(sizes, ",") {
		n, err := sysprep.ParseN(s)
		if err != nil {
			return err
		}
		var idle, user, queued []int64
		for range max(1, runs) {
			v, err := measure(ctx, bin, int(n), msgBytes)
			if err != nil {
				return err
			}
			idle, user, queued = append(idle, v.kernel), append(user, v.user), append(queued, v.queued)
		}
		row(n, "kernel, idle (both ends)", n*(2*m.SocketBytes+m.EpollBytes), median(idle))
		row(n, "pushd's own (RssAnon)", m.UserBaseBytes+n*m.UserBytes, median(user))
		row(n, "both", n*(2*m.SocketBytes+m.EpollBytes+m.UserBytes)+m.UserBaseBytes, median(idle)+median(user))
		row(n, "a message to everybody, queued", n*m.QueuedPages*m.PageBytes, median(queued))
	}
	return nil
}

func row(n int64, what string, predicted, measured int64) {
	fmt.Printf("%-12d %-34s %8d KiB %8d KiB %+7.1f%%\n", n, what, predicted>>10, measured>>10,
		100*(float64(predicted)-float64(measured))/float64(measured))
}

// figures are what one run measured, in bytes.
type figures struct {
	kernel int64 // slab objects more than before
	user   int64 // RssAnon of pushd
	queued int64 // memory of the machine that a message to everybody takes until the clients read
}

// measure runs one pushd with n connections.
func measure(ctx context.Context, bin string, n, msgBytes int) (v figures, err error) {
	ctx, cancel := context.WithTimeout(ctx, lifetime)
	defer cancel()
	d, err := start(ctx, bin)
	if err != nil {
		return v, err
	}
	defer d.stop()
	settle()
	if err := shrinkSlabs(); err != nil {
		return v, err
	}
	before, err := slabBytes()
	if err != nil {
		return v, err
	}
	clients, err := startClients(ctx, d.addr, n)
	if err != nil {
		return v, err
	}
	defer clients.end()
	snap, err := d.until(ctx, func(s *stats.Snapshot) bool { return s.Connections.Stream == n })
	if err != nil {
		return v, err
	}
	settle()
	after, err := slabBytes()
	if err != nil {
		return v, err
	}
	v.kernel, v.user = after-before, snap.RSSAnonBytes
	v.queued, err = d.broadcast(ctx, n, msgBytes)
	return v, err
}

// settle waits until sockets that were closed before are gone from the kernel's tables, which happens some time later.
func settle() { time.Sleep(2 * time.Second) }

// daemon is a pushd with a connection to its control socket.
type daemon struct {
	cmd  *exec.Cmd
	dir  string
	addr string
	ctl  *client.Conn
}

func start(ctx context.Context, bin string) (*daemon, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "capacity")
	if err != nil {
		return nil, err
	}
	d := &daemon{dir: dir, addr: addr}
	socket := filepath.Join(dir, "pushd.sock")
	d.cmd = exec.CommandContext(ctx, filepath.Join(bin, "pushd"), "--listen", addr, "--socket", socket,
		"--publish-listen", "off", "--drain-timeout", "100ms", "--log-level", "warn")
	d.cmd.Stderr = os.Stderr
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for range 100 {
		if d.ctl, err = client.Dial(ctx, socket, client.Options{Program: "capacity"}); err == nil {
			return d, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.stop()
	return nil, fmt.Errorf("pushd does not answer: %w", err)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (d *daemon) stop() {
	if d.ctl != nil {
		d.ctl.Close()
	}
	d.cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended
	d.cmd.Wait()                       //nolint:errcheck // ended by our signal
	os.RemoveAll(d.dir)                //nolint:errcheck // a directory for temporary files
}

// until waits for a state that pushd comes to.
func (d *daemon) until(ctx context.Context, ok func(*stats.Snapshot) bool) (*stats.Snapshot, error) {
	for {
		s, err := d.ctl.Stats(ctx)
		if err != nil || ok(s) {
			return s, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// broadcast publishes a message that nobody reads, and returns the bytes that TCP has queued for it.
func (d *daemon) broadcast(ctx context.Context, n, msgBytes int) (int64, error) {
	before, err := tcpBytes()
	if err != nil {
		return 0, err
	}
	pub := d.ctl.Publisher(client.PublisherOptions{})
	text := strings.Repeat("x", msgBytes)
	item := publish.Item{Channel: "capacity", Formats: publish.HTTPStream, Stream: publish.Stream{Content: text}}
	if _, err := pub.Publish(ctx, &item); err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	if err := pub.Flush(ctx); err != nil {
		return 0, fmt.Errorf("publish: %w", err)
	}
	if _, err := d.until(ctx, func(s *stats.Snapshot) bool { return s.Delivered >= uint64(n) }); err != nil {
		return 0, err
	}
	settle()
	after, err := tcpBytes()
	return after - before, err
}

// tcpBytes is what TCP has queued, as the kernel counts it against tcp_mem.
func tcpBytes() (int64, error) {
	h, err := sysprep.Open("/")
	if err != nil {
		return 0, err
	}
	s, err := h.Sample()
	return s.Pages * int64(os.Getpagesize()), err
}

// clients is a process that holds connections until its input ends.
type clients struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func startClients(ctx context.Context, addr string, n int) (*clients, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &clients{cmd: exec.CommandContext(ctx, self, "-hold", fmt.Sprintf("%s,%d", addr, n))}
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return c, c.cmd.Start()
}

func (c *clients) end() {
	c.in.Close()
	c.cmd.Wait() //nolint:errcheck // it has said what went wrong
}
