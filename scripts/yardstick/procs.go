package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/stats"
)

// lifetime bounds every process that is started here.
const lifetime = 10 * time.Minute

// process is a program that takes commands and answers with lines of JSON.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts a program, which is killed at the end of its lifetime or of the whole run.
func (s *setup) start(path string, args ...string) (*process, error) {
	ctx, cancel := context.WithTimeout(s.ctx, lifetime)
	p := &process{cmd: exec.CommandContext(ctx, path, args...)}
	context.AfterFunc(ctx, cancel)
	p.cmd.Stderr = os.Stderr
	p.cmd.Env = append(os.Environ(), s.env...)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// ask sends a command, or nothing when it is "", and reads the answer into v.
func (p *process) ask(v any, format string, args ...any) error {
	if format != "" {
		fmt.Fprintf(p.in, format+"\n", args...)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(p.cmd.Path), err)
	}
	return json.Unmarshal(line, v)
}

// end has the program end at the end of its input.
func (p *process) end() {
	p.in.Close()
	p.cmd.Wait()
}

// cpu returns the CPU seconds that the process has used, from the scheduler's nanoseconds of its threads.
func (p *process) cpu() float64 {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	total := 0.0
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if fields := strings.Fields(string(b)); len(fields) > 0 {
			ns, _ := strconv.ParseFloat(fields[0], 64)
			total += ns / 1e9
		}
	}
	return total
}

// connected is swarm's report of the connect phase.
type connected struct {
	Connected int     `json:"connected"`
	Rate      float64 `json:"conns_per_s"`
}

// received is swarm's report of what arrived.
type received struct {
	Messages    int     `json:"messages"`
	Span        float64 `json:"first_ts_to_last_arrival_s"`
	Rate        float64 `json:"rate_over_span"`
	Disconnects int     `json:"disconnects"`
	Latency     struct {
		P50, P90, P99, P999, Max float64 // microseconds
	} `json:"lat_us"`
}

// swarm opens n connections to addr and returns when all are there.
func (s *setup) swarm(addr string, n int, args ...string) (*process, connected, error) {
	var c connected
	p, err := s.start(filepath.Join(s.tools, "swarm"), append([]string{"-a", addr, "-n", strconv.Itoa(n), "-T", "300"}, args...)...)
	if err != nil {
		return nil, c, err
	}
	if err := p.ask(&c, ""); err != nil {
		return nil, c, err
	}
	if c.Connected != n {
		p.end()
		return nil, c, fmt.Errorf("%d of %d connections", c.Connected, n)
	}
	return p, c, nil
}

// rawlimit starts the bare server with a thread for each of two loops.
func (s *setup) rawlimit() (*process, string, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, "", err
	}
	p, err := s.start(filepath.Join(s.tools, "rawlimit"), "-l", addr, "-t", "2")
	if err != nil {
		return nil, "", err
	}
	return p, addr, p.ask(&struct{}{}, "")
}

// daemon is a pushd with a connection to its control socket.
type daemon struct {
	*process
	addr string
	ctl  *client.Conn
	pub  *client.Publisher
}

// socket is where the pushd of this setup has its control socket.
func (s *setup) socket() string { return filepath.Join(s.tools, s.name+".sock") }

// pushd starts one with further options.
func (s *setup) pushd(args ...string) (*daemon, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	args = append([]string{"--listen", addr, "--socket", s.socket(), "--publish-listen", "off",
		"--loops", "2", "--drain-timeout", "100ms", "--log-level", "warn"}, args...)
	p, err := s.start(filepath.Join(s.bin, "pushd"), args...)
	if err != nil {
		return nil, err
	}
	d := &daemon{process: p, addr: addr}
	for range 100 {
		if d.ctl, err = client.Dial(context.Background(), s.socket(), client.Options{Program: "yardstick"}); err == nil {
			if c, err := net.Dial("tcp", addr); err == nil {
				c.Close()
				d.pub = d.ctl.Publisher(client.PublisherOptions{})
				return d, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.stop()
	return nil, fmt.Errorf("pushd does not answer: %w", err)
}

func (d *daemon) stop() {
	if d.ctl != nil {
		d.ctl.Close()
	}
	d.cmd.Process.Signal(os.Interrupt)
	d.end()
}

func (d *daemon) stats() (*stats.Snapshot, error) { return d.ctl.Stats(context.Background()) }

// until waits for a state that pushd comes to.
func (d *daemon) until(ok func(*stats.Snapshot) bool) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		snap, err := d.stats()
		if err != nil || ok(snap) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("pushd is not as expected after a minute: %+v", snap.Connections)
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
