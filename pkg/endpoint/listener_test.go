package endpoint

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever an accept fails with, the listener goes on, and says so once a second.
func TestListenerOutlivesFailedAccepts(t *testing.T) {
	for _, failure := range []error{
		syscall.ENOSPC, syscall.ENOMEM, syscall.EMFILE, syscall.EPERM, syscall.EINVAL,
		errors.New("something new"),
	} {
		synctest.Test(t, func(t *testing.T) {
			log, said := logTo()
			p := newPipes()
			l := NewListener(p, "test", log)
			defer l.Close()
			go func() {
				for range 100 {
					p.came <- &net.OpError{Op: "accept", Net: "tcp", Err: failure}
				}
				p.came <- &net.TCPConn{}
			}()
			began := time.Now()
			nc, err := l.Accept()
			if nc == nil || err != nil {
				t.Fatalf("%v: Accept = %v, %v, want a connection", failure, nc, err)
			}
			took := time.Since(began)
			if took < 90*time.Second || took > 100*time.Second {
				t.Errorf("%v: 100 failures took %s, want growing pauses", failure, took)
			}
			warnings := strings.Count(said.String(), "\n")
			if warnings > int(took/time.Second)+1 {
				t.Errorf("%v: %d warnings in %s, want one a second", failure, warnings, took)
			}
			for _, want := range []string{`err="accept tcp: `, "endpoint=test", "held_back=7"} {
				if !strings.Contains(said.String(), want) {
					t.Errorf("%v: no %s in %.500s", failure, want, said)
				}
			}
		})
	}
}

func TestListenerClosesWhileItPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := NewListener(p, "test", nil)
		accepted := make(chan error)
		go func() {
			_, err := l.Accept()
			accepted <- err
		}()
		for range 20 {
			p.came <- syscall.ENOSPC
		}
		synctest.Wait()
		began := time.Now()
		l.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) || time.Since(began) != 0 {
			t.Errorf("Accept: %v, %s after Close, want net.ErrClosed at once",
				err, time.Since(began))
		}
	})
}

// A listener that was closed below it has no next connection.
func TestListenerEndsWithTheOneBelow(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if _, err := NewListener(ln, "test", nil).Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want net.ErrClosed", err)
	}
}
