package scripts

import (
	"bytes"
	"errors"
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

	"holdfast/pkg/server"
)

// activated is a pushd whose sockets were opened by systemd-socket-activate, in the place of systemd.
type activated struct {
	cmd              *exec.Cmd
	output           bytes.Buffer // once it has ended
	clients, publish string
	control          string
	notify           *net.UnixConn
	bin              string
}

// activate has the sockets opened for a pushd that starts with the first client. names are those of
// its descriptors, args more options.
func activate(t *testing.T, names string, args ...string) *activated {
	t.Helper()
	takeDefaultPorts(t)
	if _, err := exec.LookPath("systemd-socket-activate"); err != nil {
		t.Skipf("systemd is not installed, socket activation is not tried: %v", err)
	}
	bin, dir := binaries(t), t.TempDir()
	a := &activated{bin: bin, clients: freeAddr(t), publish: freeAddr(t), control: filepath.Join(dir, "control")}
	notify := filepath.Join(dir, "notify")
	var err error
	if a.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.notify.Close() })
	a.cmd = exec.Command("systemd-socket-activate", append([]string{"-l", a.clients, "-l", a.publish, "-l", a.control,
		"--fdname=" + names, "-E", "NOTIFY_SOCKET=" + notify, filepath.Join(bin, "pushd"), "--drain-timeout", "100ms"}, args...)...)
	a.cmd.Env, a.cmd.Stdout, a.cmd.Stderr = environment(), &a.output, &a.output
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { a.cmd.Process.Kill() })
	t.Cleanup(func() {
		stuck.Stop()
		a.cmd.Process.Kill()
		a.cmd.Wait() //nolint:errcheck // most often a second time
		if t.Failed() {
			t.Logf("pushd said:\n%s", a.output.String())
		}
	})
	return a
}

// takeDefaultPorts keeps pushd's default ports taken for the time of a test, as they are where a
// pushd runs already: the test must not need them.
func takeDefaultPorts(t *testing.T) {
	t.Helper()
	o := server.NewOptions()
	for _, addr := range append(o.Listen, o.PublishListen) {
		if l, err := net.Listen("tcp", addr); err == nil { // an error: they are taken
			t.Cleanup(func() { l.Close() })
		}
	}
}

// freeAddr returns an address on which nobody listens, for somebody who is about to.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// hold opens an event stream; it is the connection that starts pushd.
func (a *activated) hold(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", a.clients)
	for end := time.Now().Add(patience); errors.Is(err, syscall.ECONNREFUSED) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
		c, err = net.Dial("tcp", a.clients)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "GET /events?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
	return c
}

// awaitState waits until pushd has notified its supervisor of state.
func (a *activated) awaitState(t *testing.T, state string) {
	t.Helper()
	a.notify.SetDeadline(time.Now().Add(patience))
	for text := ""; !strings.Contains("\n"+text+"\n", "\n"+state+"\n"); {
		b := make([]byte, 4096)
		n, err := a.notify.Read(b)
		if err != nil {
			t.Fatalf("%s: %v", state, err)
		}
		text = string(b[:n])
	}
}

func TestPushdTakesSocketsOfSystemd(t *testing.T) {
	a := activate(t, "clients:publish:control")
	c := a.hold(t)
	a.awaitState(t, "READY=1")
	awaitText(t, c, "retry:")
	cmd := exec.Command(filepath.Join(a.bin, "pushpub"), "--socket", a.control, "--require-receivers", "a", "by control")
	cmd.Env = environment()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("pushpub: %v\n%s", err, out)
	}
	awaitText(t, c, "by control")
	item := `{"items":[{"channel":"a","formats":{"http-stream":{"content":"by HTTP\n"}}}]}`
	res, err := http.Post("http://"+a.publish+"/publish/", "application/json", strings.NewReader(item))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	awaitText(t, c, "by HTTP")
	a.cmd.Process.Signal(syscall.SIGTERM)
	a.awaitState(t, "STOPPING=1")
	if err := a.cmd.Wait(); err != nil {
		t.Errorf("pushd: %v", err)
	}
	if _, err := os.Lstat(a.control); err != nil {
		t.Errorf("pushd has removed a control socket that it did not make: %v", err)
	}
}

func TestPushdShowsMetricsOnASocketOfSystemd(t *testing.T) {
	a := activate(t, "clients:metrics:control", "--publish-listen", "off") // the second address is that of metrics then
	awaitText(t, a.hold(t), "retry:")
	res, err := http.Get("http://" + a.publish + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	awaitText(t, res.Body, `pushd_connections{kind="events"} 1`)
}

func TestPushdRefusesDescriptorsThatItDoesNotKnow(t *testing.T) {
	a := activate(t, "clients:admin:control")
	c := a.hold(t)
	io.Copy(io.Discard, c) //nolint:errcheck // its end is what matters
	if err := a.cmd.Wait(); err == nil || !strings.Contains(a.output.String(), "admin") {
		t.Errorf("pushd ended with %v, want an error that names admin", err)
	}
}

// awaitText reads until text has come.
func awaitText(t *testing.T, r io.Reader, text string) {
	t.Helper()
	var got []byte
	for b := make([]byte, 4096); !bytes.Contains(got, []byte(text)); {
		n, err := r.Read(b)
		if err != nil {
			t.Fatalf("got %q, not %q: %v", got, text, err)
		}
		got = append(got, b[:n]...)
	}
}
