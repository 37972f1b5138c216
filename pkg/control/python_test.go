package control

import (
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"

	"holdfast/pkg/publish"
)

// python finds an interpreter that has msgpack: that of the PATH, or Debian's.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import msgpack").Run() == nil {
			return name
		}
	}
	const missing = "no python3 with msgpack here; on Debian it is the package python3-msgpack"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// TestPythonSpeaksTheProtocol runs a client that shares no code with this module and was written from docs/protocol.md.
func TestPythonSpeaksTheProtocol(t *testing.T) {
	interpreter := python(t)
	f := &fakeHub{}
	path := startServer(t, Options{Publisher: f, MaxMessage: 100_000})
	if out, err := exec.Command(interpreter, "testdata/publish.py", path).CombinedOutput(); err != nil {
		t.Fatalf("publish.py: %v\n%s", err, out)
	}
	if got, want := slices.Compact(f.channels()), []string{"first", "second", "third", "fourth", "many", "last"}; !slices.Equal(got, want) {
		t.Errorf("published to %q, want %q", got, want)
	}
	want := publish.Item{
		Channel: "second", ID: "8", PrevID: "7", Epoch: "e1", NoSeq: true, Size: 120, Meta: map[string]string{"sender": "bob"},
		Formats: publish.HTTPResponse | publish.HTTPStream | publish.WSMessage | publish.SSE,
		Response: publish.Response{Body: "\x00\xff", Code: 404, Reason: "Gone", Headers: []publish.Header{{Name: "X-A", Value: "1"}},
			ContentFilters: []string{"f"}},
		Stream:  publish.Stream{Content: "raw", ContentFilters: []string{"f"}},
		Message: publish.Message{Action: publish.Close, Code: 4001, Reason: "bye"},
		Event:   publish.Event{Event: "up", ID: "9", Data: "data", Retry: 3000},
	}
	if !reflect.DeepEqual(f.items[1], want) {
		t.Errorf("the full item arrived as\n%+v, want\n%+v", f.items[1], want)
	}
	if n := len(f.items); n != 20_005 {
		t.Errorf("%d items arrived, want 20005", n)
	}
}
