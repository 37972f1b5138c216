package prometheus

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var bin = flag.String("bin", "", "`directory` of our binaries; they are built when it is not given")

func TestMain(m *testing.M) {
	flag.Parse()
	for _, e := range os.Environ() { // what the tester has set is not part of the test
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PUSHD_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	if _, err := exec.LookPath("prometheus"); err != nil || *bin != "" {
		return m.Run() // without Prometheus there is nothing to build for
	}
	dir, err := os.MkdirTemp("", "prometheus")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-o", dir+"/", "holdfast/cmd/pushd", "holdfast/cmd/pushpub")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	*bin = dir
	return m.Run()
}

// run starts cmd, and ends it with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stuck := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		defer stuck.Stop()
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait() //nolint:errcheck // that it was ended is no news
	})
}

// daemon is a running pushd with some clients.
type daemon struct {
	clients, metrics, socket string
	held                     []net.Conn
}

func startPushd(t *testing.T) *daemon {
	t.Helper()
	d := &daemon{clients: freeAddr(t), metrics: freeAddr(t), socket: filepath.Join(t.TempDir(), "s")}
	cmd := exec.Command(filepath.Join(*bin, "pushd"), "--listen", d.clients, "--socket", d.socket, "--publish-listen", "off",
		"--metrics-listen", d.metrics, "--drain-timeout", "0s", "--log-level", "warn")
	cmd.Stderr = os.Stderr
	run(t, cmd)
	t.Cleanup(d.release)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get("http://" + d.metrics + "/ready")
		if err == nil {
			res.Body.Close()
			c, err := net.Dial("tcp", d.clients) // is opened last
			if err == nil {
				c.Close()
				return d
			}
		}
		if time.Now().After(end) {
			t.Fatalf("pushd does not start: %v", err)
		}
	}
}

// hold opens n event streams.
func (d *daemon) hold(t *testing.T, n int) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", d.clients)
		if err != nil {
			t.Fatal(err)
		}
		d.held = append(d.held, c)
		fmt.Fprint(c, "GET /events?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

// release has the held clients leave.
func (d *daemon) release() {
	for _, c := range d.held {
		c.Close()
	}
	d.held = nil
}

// publish sends a message to those who are held.
func (d *daemon) publish(t *testing.T) {
	t.Helper()
	if out, err := exec.Command(filepath.Join(*bin, "pushpub"), "--socket", d.socket, "a", "hello").CombinedOutput(); err != nil {
		t.Fatalf("pushpub: %v\n%s", err, out)
	}
}

// scrape is what the metrics endpoint says.
func (d *daemon) scrape(t *testing.T) string {
	t.Helper()
	res, err := http.Get("http://" + d.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s, %v", res.Status, err)
	}
	return string(text)
}

// shows tells whether there is a series of that name.
func (d *daemon) shows(t *testing.T, name string) bool {
	t.Helper()
	text := "\n" + d.scrape(t)
	return strings.Contains(text, "\n"+name+" ") || strings.Contains(text, "\n"+name+"{")
}
