package cmd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/client"
	"holdfast/pkg/publish"
)

// slowClients is the number of each kind of slow client: 10,000 together.
const (
	slowHeads   = 4000 // send a byte of a head now and then
	slowBodies  = 3000 // announce a body, and send a byte of it now and then
	slowReaders = 3000 // are held, and never read
)

// Ten thousand clients that are as slow as they can be cost pushd a bounded amount of memory, and those who are held beside them
// get every message.
func TestSlowClientsDisturbNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("opens 10,000 connections")
	}
	addr, err := freeAddr()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "pushd.sock")
	bin := filepath.Join(t.TempDir(), "pushd")
	if out, err := exec.Command("go", "build", "-o", bin, "./pushd").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	pushd := exec.Command(bin, "--listen", addr, "--socket", socket, "--publish-listen", "off", "--header-timeout", "4s", "--drain-timeout", "0s", "--queue-memory", "32MiB")
	pushd.Stderr = os.Stderr
	if err := pushd.Start(); err != nil {
		t.Fatal(err)
	}
	defer pushd.Wait()
	defer pushd.Process.Kill()
	ctl := dialControl(t, socket)
	defer ctl.Close()

	res, err := http.Get("http://" + addr + "/stream?channel=neighbour")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	neighbour := bufio.NewReader(res.Body)
	before, err := ctl.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	var trickling []net.Conn
	openSlow := func(n int, request string, keep bool) {
		t.Helper()
		for range n {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			io.WriteString(c, request)
			if keep {
				trickling = append(trickling, c)
			}
		}
	}
	openSlow(slowReaders, "GET /stream?channel=unread HTTP/1.1\r\nHost: x\r\n\r\n", false)
	openSlow(slowHeads, "GET /events?channel=a HTTP/1.1\r\nHost: x\r\nX: ", true)
	openSlow(slowBodies, "POST /events?channel=a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", true)

	// While they trickle, and more is published than those who do not read can take, the neighbour is served.
	var slowest time.Duration
	big := strings.Repeat("x", 32<<10)
	for round := range 40 {
		for _, c := range trickling[round*len(trickling)/40 : (round+1)*len(trickling)/40] {
			c.Write([]byte("x"))
		}
		if round%2 == 0 {
			publishStream(t, ctl, "unread", big)
		}
		text := fmt.Sprintf("message %d\n", round)
		start := time.Now()
		if n := publishStream(t, ctl, "neighbour", text); n != 1 {
			t.Fatalf("message %d had %d receivers", round, n)
		}
		if got, err := neighbour.ReadString('\n'); got != text {
			t.Fatalf("the neighbour got %q, %v, want %q", got, err, text)
		}
		slowest = max(slowest, time.Since(start))
		time.Sleep(25 * time.Millisecond)
	}
	after, err := ctl.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	grown := int64(after.RSSBytes) - int64(before.RSSBytes)
	t.Logf("the neighbour's slowest message took %v; pushd grew by %d KiB; closed: %v", slowest, grown>>10, after.Closed)
	if grown > 128<<20 {
		t.Errorf("pushd grew by %d MiB", grown>>20)
	}
	deadline := time.Now().Add(patience)
	for {
		snap, err := ctl.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if snap.Closed["timeout-head"] >= slowHeads && snap.Connections.HTTP == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("slow clients are still there: %+v, closed %v", snap.Connections, snap.Closed)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if n := publishStream(t, ctl, "neighbour", "at last\n"); n != 1 {
		t.Errorf("the neighbour is gone")
	}
}

// dialControl waits for pushd's control socket.
func dialControl(t *testing.T, socket string) *client.Conn {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		ctl, err := client.Dial(t.Context(), socket, client.Options{})
		if err == nil {
			return ctl
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func publishStream(t *testing.T, ctl *client.Conn, channel, text string) (receivers int) {
	t.Helper()
	acks, err := ctl.Publish(t.Context(), []publish.Item{{Channel: channel, Formats: publish.HTTPStream, Stream: publish.Stream{Content: text}}})
	if err != nil || acks[0].Err != nil {
		t.Fatalf("publish: %v, %+v", err, acks)
	}
	return acks[0].Receivers
}
