// Package cmd holds no code, only the stories that the four real binaries tell together: testdata/script.
package cmd

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait of a story.
const patience = 20 * time.Second

func TestStories(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "./...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+env.Getenv("PATH"))
			env.Setenv("PUSHD_SOCKET", filepath.Join(env.WorkDir, "pushd.sock"))
			env.Setenv("PUSHD_DRAIN_TIMEOUT", "1s")
			env.Setenv("SECRET", base64.StdEncoding.EncodeToString(tokenSecret))
			for _, name := range []string{"PUSHD_LISTEN", "PUSHD_PUBLISH_LISTEN"} {
				addr, err := freeAddr()
				if err != nil {
					return err
				}
				env.Setenv(name, addr)
			}
			env.Values[clientsKey{}] = clients{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready":     ready,
			"listening": listening,
			"hold":      hold,
			"received":  received,
			"ended":     ended,
			"raw":       raw,
			"post":      post,
			"fill":      fill,
			"token":     token,
		},
	})
}

// freeAddr returns an address on which nobody listens, for a pushd that is about to.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

type clientsKey struct{}

// clients is the held connections of a story, by name.
type clients map[string]*held

// held is a client that reads what it gets.
type held struct {
	mu   sync.Mutex
	body bytes.Buffer
	err  error // how the body ended, io.EOF for a proper end
}

func (h *held) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.body.Write(b)
}

func (h *held) state() (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.body.String(), h.err
}

// ready waits until pushd accepts clients.
func ready(ts *testscript.TestScript, _ bool, _ []string) {
	until(ts, "pushd accepts clients", func() bool {
		c, err := net.Dial("tcp", ts.Getenv("PUSHD_LISTEN"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// listening FILE makes connections until pushstat, which follows the events of pushd, has written the first of them to FILE.
func listening(ts *testscript.TestScript, _ bool, args []string) {
	until(ts, "somebody follows the events", func() bool {
		c, err := net.Dial("tcp", ts.Getenv("PUSHD_LISTEN"))
		if err != nil {
			return false
		}
		defer c.Close()
		out, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && len(out) > 0
	})
}

// hold NAME TARGET opens a held connection and reads it from then on.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	res, err := http.Get("http://" + ts.Getenv("PUSHD_LISTEN") + args[1])
	ts.Check(err)
	if res.StatusCode != http.StatusOK {
		ts.Fatalf("GET %s: %s", args[1], res.Status)
	}
	h := &held{}
	ts.Value(clientsKey{}).(clients)[args[0]] = h
	ts.Defer(func() { res.Body.Close() })
	go func() {
		_, err := io.Copy(h, res.Body)
		if err == nil {
			err = io.EOF
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.err = err
	}()
}

// received NAME TEXT waits until the connection has received TEXT, with the escapes of Go.
func received(ts *testscript.TestScript, neg bool, args []string) {
	h := ts.Value(clientsKey{}).(clients)[args[0]]
	text := unquote(ts, args[1])
	if neg {
		if body, _ := h.state(); strings.Contains(body, text) {
			ts.Fatalf("%s received %q", args[0], body)
		}
		return
	}
	until(ts, fmt.Sprintf("%s receives %q", args[0], text), func() bool {
		body, _ := h.state()
		return strings.Contains(body, text)
	})
}

// ended NAME waits for the end of the connection's body, which must be the one that HTTP asks for.
func ended(ts *testscript.TestScript, neg bool, args []string) {
	h := ts.Value(clientsKey{}).(clients)[args[0]]
	if neg {
		if _, err := h.state(); err != nil {
			ts.Fatalf("%s ended: %v", args[0], err)
		}
		return
	}
	until(ts, args[0]+" ends", func() bool {
		_, err := h.state()
		return err != nil
	})
	if _, err := h.state(); err != io.EOF {
		ts.Fatalf("%s ended with %v, not in order", args[0], err)
	}
}

// raw BYTES [TIME] sends bytes on a connection of its own and prints what comes back, until pushd closes or for that time.
func raw(ts *testscript.TestScript, _ bool, args []string) {
	c, err := net.Dial("tcp", ts.Getenv("PUSHD_LISTEN"))
	ts.Check(err)
	defer c.Close()
	wait := patience
	if len(args) > 1 {
		wait, err = time.ParseDuration(args[1])
		ts.Check(err)
	}
	c.SetDeadline(time.Now().Add(wait))
	io.WriteString(c, os.Expand(unquote(ts, args[0]), ts.Getenv)) // quotes keep testscript from expanding
	answer, _ := io.ReadAll(bufio.NewReader(c))                   // a reset after the answer is as good an end as any
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(string(answer), "\r\n", "\n"))
}

// post ACCEPT BODY sends BODY to the publish endpoint and prints the answer.
func post(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest("POST", "http://"+ts.Getenv("PUSHD_PUBLISH_LISTEN")+"/publish/", strings.NewReader(args[1]))
	ts.Check(err)
	req.Header.Set("Accept", args[0])
	if tok := ts.Getenv("PUBLISH_TOKEN"); tok != "" {
		req.Header.Set("Authorization", "Bearer "+tok)
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s", res.StatusCode, body)
}

// fill N opens N connections one after another, keeps them, and prints the distinct status lines that they got.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	counts := map[string]int{}
	for range n {
		c, err := net.Dial("tcp", ts.Getenv("PUSHD_LISTEN"))
		ts.Check(err)
		ts.Defer(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(c, "GET /stream?channel=fill HTTP/1.1\r\nHost: x\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			line = "no answer"
		}
		counts[strings.TrimSpace(line)]++
	}
	for line, n := range counts {
		fmt.Fprintf(ts.Stdout(), "%d: %s\n", n, line)
	}
}

// tokenSecret is the key of the tokens in stories, whose SECRET is its base64.
var tokenSecret = []byte("the secret of the stories, long enough for HS256")

// token VAR TIME CHANNEL... sets VAR to a token that lasts for TIME and names the channels.
func token(ts *testscript.TestScript, _ bool, args []string) {
	lasts, err := time.ParseDuration(args[1])
	ts.Check(err)
	claims := jwt.MapClaims{"exp": float64(time.Now().Add(lasts).UnixMilli()) / 1000, "channels": args[2:]}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(tokenSecret)
	ts.Check(err)
	ts.Setenv(args[0], signed)
}

func until(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func unquote(ts *testscript.TestScript, s string) string {
	u, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	ts.Check(err)
	return u
}

func TestMain(m *testing.M) {
	for _, e := range os.Environ() { // what the tester has set is not part of the stories
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "PUSHD_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
