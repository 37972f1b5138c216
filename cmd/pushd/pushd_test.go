package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/cmd/internal/golden"
	"holdfast/pkg/server"
)

// asMain makes the test binary behave as pushd with a server that only waits, and never ends by
// itself. With the value "serve" it is pushd's own server.
const asMain = "HOLDFAST_TEST_AS_PUSHD"

func TestMain(m *testing.M) {
	switch os.Getenv(asMain) {
	case "":
	case "serve":
		main()
	default:
		run = func(ctx context.Context, o server.Options) error {
			os.Stdout.WriteString("up\n")
			<-ctx.Done()
			os.Stdout.WriteString("draining\n")
			select {}
		}
		main()
	}
	flag.Parse()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, envPrefix) {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// start runs pushd with a server that hands back its options. It sets the socket unless args do.
func start(t *testing.T, args ...string) (o server.Options, code int, stdout, stderr string) {
	t.Helper()
	saved := run
	defer func() { run = saved }()
	run = func(_ context.Context, got server.Options) error {
		o = got
		return nil
	}
	var out, errs bytes.Buffer
	code = pushd(t.Context(), append([]string{"pushd"}, args...), &out, &errs)
	return o, code, out.String(), errs.String()
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pushd.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreThoseOfTheServer(t *testing.T) {
	got, code, stdout, stderr := start(t)
	if code != app.OK || stdout+stderr != "" {
		t.Fatalf("exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	want := server.NewOptions()
	if got.Log == nil || !slices.Equal(got.Listen, want.Listen) || !filepath.IsAbs(got.Socket) {
		t.Errorf("Log = %v, Listen = %v, Socket = %q", got.Log, got.Listen, got.Socket)
	}
	got.Listen, want.Listen, got.Socket, got.Log, want.Log, got.Manager = nil, nil, "", nil, nil, nil
	got.Reload = nil
	if a, b := mustJSON(t, got), mustJSON(t, want); a != b {
		t.Errorf("options = %s\nwant     %s", a, b)
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// checked runs pushd check --json. The directory of the socket may be unusable, which does not matter here.
func checked(t *testing.T, args ...string) map[string]entry {
	t.Helper()
	_, code, stdout, stderr := start(t, append([]string{"check", "--json"}, args...)...)
	var all map[string]entry
	if err := json.Unmarshal([]byte(stdout), &all); err != nil {
		t.Fatalf("check --json: exit %d, %v: %s", code, err, stderr)
	}
	return all
}

func TestFlagWinsOverEnvironmentOverFile(t *testing.T) {
	file := writeConfig(t, "loops = 3\nmax-queued = \"3KiB\"\nlisten = [\"127.0.0.1:3\", \"127.0.0.1:33\"]\noverflow = \"drop\"\nidle-timeout = \"3s\"\n")
	t.Setenv("PUSHD_CONFIG", file)
	t.Setenv("PUSHD_LOOPS", "2")
	t.Setenv("PUSHD_MAX_QUEUED", "2KiB")
	t.Setenv("PUSHD_LISTEN", "127.0.0.1:2, 127.0.0.1:22")
	t.Setenv("PUSHD_IDLE_TIMEOUT", "") // an empty variable counts as none
	o, code, _, stderr := start(t, "--loops", "1", "--listen", "127.0.0.1:1", "--listen", "[::1]:8000-8002")
	if code != app.OK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	listen := []string{"127.0.0.1:1", "[::1]:8000", "[::1]:8001", "[::1]:8002"}
	if o.Loops != 1 || o.MaxQueued != 2<<10 || !slices.Equal(o.Listen, listen) || o.Overflow != server.OverflowDrop || o.IdleTimeout != 3*time.Second {
		t.Errorf("loops %d, max-queued %d, listen %v, overflow %s, idle-timeout %v", o.Loops, o.MaxQueued, o.Listen, o.Overflow, o.IdleTimeout)
	}
	if o, _, _, _ := start(t); !slices.Equal(o.Listen, []string{"127.0.0.1:2", "127.0.0.1:22"}) {
		t.Errorf("listen from the environment = %v", o.Listen)
	}
	os.Unsetenv("PUSHD_LISTEN")
	if o, _, _, _ := start(t); !slices.Equal(o.Listen, []string{"127.0.0.1:3", "127.0.0.1:33"}) {
		t.Errorf("listen from the file = %v", o.Listen)
	}
}

func TestBadConfigFileNamesTheLine(t *testing.T) {
	tests := []struct {
		toml string
		want []string // lines after "pushd: FILE"
	}{
		{"# a\nmax_queued = 3\n", []string{`:2: unknown key "max_queued" (did you mean max-queued?)`}},
		{"loops = 1\n\n[listeners]\na = 1\n", []string{`:3: unknown key "listeners" (did you mean listen?)`}},
		{"a.b = 1\n", []string{`:1: unknown key "a"`}},
		{"config = \"x\"\n", []string{`:1: unknown key "config"`}},
		{"loops = \"two\"\n", []string{`:1: loops: "two": want a whole number`}},
		{"loops = 1.5\n", []string{`:1: loops: 1.5: want a whole number`}},
		{"idle-timeout = 60\n", []string{`:1: idle-timeout: 60: want a string with a duration, such as "500ms", "10s" or "1m"`}},
		{"max-header = -1\n", []string{`:1: max-header: -1: want a number of bytes, or a string with KiB, MiB or GiB, such as "256KiB"`}},
		{"max-header = \"8KB\"\n", []string{`:1: max-header: "8KB": want a number of bytes, or a string with KiB, MiB or GiB, such as "256KiB"`}},
		{"socket-mode = 660\n", []string{`:1: socket-mode: 660: want a string`}},
		{"reuse-port = 1\n", []string{`:1: reuse-port: 1: want true or false`}},
		{"listen = [1]\n", []string{`:1: listen: a list: want a string or a list of strings`}},
		{"listen = []\n", []string{`:1: listen: a list: want a string or a list of strings`}},
		{"[loops]\nn = 1\n", []string{`:1: loops: a table: want a whole number`}},
		{"loops = 1\nloops = 2\n", []string{`:2: Key 'loops' has already been defined`}},
		{"loops =\n", []string{`:1: expected value but found '\n' instead`}},
		{"lops = 1\n\nmax-qeued = 2\n", []string{`:1: unknown key "lops" (did you mean loops?)`, `:3: unknown key "max-qeued" (did you mean max-queued?)`}},
		{"\nloops = 0\noverflow = \"block\"\n", []string{`:2: loops: 0 is out of range, 1 to 64 are allowed`, `:3: overflow: "block" is not allowed, want close or drop`}},
	}
	for _, tt := range tests {
		path := writeConfig(t, tt.toml)
		_, code, stdout, stderr := start(t, "--config", path)
		var want strings.Builder
		for _, line := range tt.want {
			want.WriteString("pushd: " + path + line + "\n")
		}
		if code != app.Usage || stdout != "" || stderr != want.String() {
			t.Errorf("%q: exit %d, stdout %q, stderr\n%swant\n%s", tt.toml, code, stdout, stderr, want.String())
		}
	}
}

func TestMissingConfigFileIsAUsageError(t *testing.T) {
	_, code, _, stderr := start(t, "--config", filepath.Join(t.TempDir(), "none.toml"))
	if code != app.Usage || !strings.Contains(stderr, "--config: open ") || !strings.Contains(stderr, "none.toml: no such file") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

func TestBadValuesAreNamedWithWhatIsAllowed(t *testing.T) {
	limit := server.FileLimit()
	tests := []struct {
		args []string
		env  string
		want string
	}{
		{args: []string{"--loops", "0"}, want: "--loops: 0 is out of range, 1 to 64 are allowed"},
		{args: []string{"--loops", "x"}, want: `--loops: "x" is not a whole number`},
		{env: "PUSHD_LOOPS=65", want: "$PUSHD_LOOPS: 65 is out of range, 1 to 64 are allowed"},
		{env: "PUSHD_LOOPS=x", want: `$PUSHD_LOOPS: "x" is not a whole number`},
		{env: "PUSHD_MAX_QUEUED=1e3", want: `$PUSHD_MAX_QUEUED: "1e3" is not a size: want bytes, or a number with KiB, MiB or GiB, such as 256KiB`},
		{args: []string{"--max-header", "100"}, want: "--max-header: 100B is out of range, 256B to 1MiB are allowed"},
		{args: []string{"--header-timeout", "0"}, want: "--header-timeout: 0s is out of range, 10ms to 24h are allowed"},
		{args: []string{"--drain-timeout", "-1s"}, want: "--drain-timeout: -1s is out of range, 0s to 24h are allowed"},
		{args: []string{"--overflow", "block"}, want: `--overflow: "block" is not allowed, want close or drop`},
		{args: []string{"--log-level", "trace"}, want: `--log-level: "trace" is not allowed, want debug, info, warn or error`},
		{args: []string{"--socket-mode", "888"}, want: `--socket-mode: "888" is not allowed, want octal permission bits from 0600 to 0777 that let the owner read and write`},
		{args: []string{"--socket-mode", "0060"}, want: `--socket-mode: "0060" is not allowed, want octal permission bits from 0600 to 0777 that let the owner read and write`},
		{args: []string{"--socket-group", "no-such-group"}, want: `--socket-group: there is no group "no-such-group"`},
		{args: []string{"--max-queued", "2M", "--queue-memory", "1M"}, want: "--max-queued: 2MiB is more than all clients may have together, 1MiB (queue-memory)"},
		{args: []string{"--max-connections", strconv.Itoa(limit)}, want: "--max-connections: " + strconv.Itoa(limit) + " connections need " +
			strconv.Itoa(limit+512) + " open files, and the limit is " + strconv.Itoa(limit) + ": raise RLIMIT_NOFILE, or allow at most " + strconv.Itoa(limit-512)},
		{args: []string{"--listen", "127.0.0.1:5561"}, want: "--publish-listen: 127.0.0.1:5561 is an address of listen too"},
		{args: []string{"--publish-listen", ":5561"}, want: `--publish-listen: ":5561" is not a loopback address: that needs --publish-token-file, or anybody could publish`},
		{args: []string{"--publish-listen", "on"}, want: `--publish-listen: "on" is not an address, want HOST:PORT, :PORT or HOST:FIRST-LAST (IPv6 in brackets); or off`},
		{args: []string{"--publish-listen", ":1-2"}, want: `--publish-listen: ":1-2" is not an address of one port; or off`},
		{args: []string{"--socket", "/" + strings.Repeat("x", 107)}, want: `--socket: control socket: /` + strings.Repeat("x", 107) +
			`: a path of 108 bytes, a socket has at most 107`},
		{args: []string{"--socket", "/" + strings.Repeat("d", 88) + "/s"}, want: `--socket: control socket: /` + strings.Repeat("d", 88) +
			`/s: a directory of 89 bytes, at most 88 leave room for the name under which the socket is made`},
		{args: []string{"--socket", "@x"}, want: `--socket: control socket: @x: an abstract socket, which has no permissions (./@x is a file of that name)`},
		{args: []string{"--lisen", "127.0.0.1:80"}, want: "unknown option --lisen (did you mean --listen?)"},
		{args: []string{"chek"}, want: `unknown argument "chek" (did you mean check?)`},
		{args: []string{"check", "x"}, want: `unknown argument "x"`},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " ")+tt.env, func(t *testing.T) {
			if k, v, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(k, v)
			}
			_, code, stdout, stderr := start(t, tt.args...)
			if want := "pushd: " + tt.want + "\n"; code != app.Usage || stdout != "" || stderr != want {
				t.Errorf("exit %d, stdout %q, stderr\n%swant\n%s", code, stdout, stderr, want)
			}
		})
	}
}

func TestServerErrorIsExit1(t *testing.T) {
	saved := run
	defer func() { run = saved }()
	run = func(context.Context, server.Options) error {
		return errors.New("listen 127.0.0.1:7999: address in use")
	}
	var stderr bytes.Buffer
	code := pushd(t.Context(), []string{"pushd"}, &stderr, &stderr)
	if want := "pushd: listen 127.0.0.1:7999: address in use\n"; code != app.Failed || stderr.String() != want {
		t.Errorf("exit %d, stderr %q, want %d, %q", code, stderr.String(), app.Failed, want)
	}
}

func TestExpandListen(t *testing.T) {
	tests := []struct {
		in   []string
		want string // addresses, or "!" and a part of the error
	}{
		{[]string{"127.0.0.1:7999"}, "127.0.0.1:7999"},
		{[]string{":80", ":81"}, ":80 :81"},
		{[]string{"localhost:8000-8003"}, "localhost:8000 localhost:8001 localhost:8002 localhost:8003"},
		{[]string{"h:5-5"}, "h:5"},
		{[]string{"[::1]:80,h:81 h:82"}, "[::1]:80 h:81 h:82"},
		{[]string{"h:0", "h:0"}, "h:0 h:0"},
		{nil, "!no address"},
		{[]string{" "}, "!no address"},
		{[]string{"80"}, "!is not an address"},
		{[]string{"::1:80"}, "!IPv6 in brackets"},
		{[]string{"h:"}, `!bad port ""`},
		{[]string{"h:65536"}, `!bad port "65536"`},
		{[]string{"h:-1"}, `!bad port ""`},
		{[]string{"h:+1"}, `!bad port "+1"`},
		{[]string{"h:http"}, `!bad port "http"`},
		{[]string{"h:9-8"}, "!lower port"},
		{[]string{"h:0-8"}, "!lower port"},
		{[]string{"a/b:80"}, `!bad host "a/b"`},
		{[]string{"-h:80"}, `!bad host "-h"`},
		{[]string{"h:80", "h:80"}, "!h:80 is there twice"},
		{[]string{"h:79-81", "h:80"}, "!h:80 is there twice"},
		{[]string{"h:1-65535"}, "!more than 1024 addresses"},
	}
	for _, tt := range tests {
		got, err := expandListen(tt.in)
		if part, wantErr := strings.CutPrefix(tt.want, "!"); wantErr {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("expandListen(%q) = %v, %v, want an error with %q", tt.in, got, err, part)
			}
			continue
		}
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("expandListen(%q) = %v, %v, want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestCheckPrintsValuesAndSources(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "listen = [\"127.0.0.1:8000-8001\", \":9000\"]\n\nmax-queued = \"64KiB\"\nmax-connections = 100\n"
	if err := os.WriteFile("pushd.toml", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PUSHD_LOG_FORMAT", "json")
	const socket = "/no/such/directory/pushd.sock" // the same on every machine; that it is unusable is said at the end
	_, code, stdout, stderr := start(t, "check", "--config", "pushd.toml", "--anonymous", "--loops", "4", "--queue-memory", "1G", "--hold-memory", "1G", "--socket", socket,
		"--backend-connections", "2000", "--backend-idle", "256", "--backend-open", "10000")
	if want := "pushd: socket " + socket + ": cannot create its directory: stat /no/such: no such file or directory\n"; code != app.Failed || stderr != want {
		t.Errorf("exit %d, stderr %q, want %q", code, stderr, want)
	}
	golden.Check(t, "check.txt", stdout)
}

func TestCheckJSON(t *testing.T) {
	path := writeConfig(t, "\nmax-queued = \"64KiB\"\n")
	all := checked(t, "--config", path, "--listen", "127.0.0.1:80")
	if len(all) != len(everySetting) {
		t.Errorf("%d settings, want %d", len(all), len(everySetting))
	}
	q := all["max-queued"]
	if q.Value != float64(65536) || q.source != (source{Kind: fromFile, File: path, Line: 2}) {
		t.Errorf("max-queued = %+v", q)
	}
	if l := all["listen"]; mustJSON(t, l.Value) != `["127.0.0.1:80"]` || l.source != (source{Kind: fromFlag}) {
		t.Errorf("listen = %+v", l)
	}
}

func TestCheckFailsForAnUnusableSocketDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file + "/pushd.sock", file + "/a/pushd.sock", filepath.Dir(file) + "/a/b/pushd.sock"} {
		_, code, stdout, stderr := start(t, "check", "--socket", path)
		if code != app.Failed || !strings.HasPrefix(stderr, "pushd: socket "+path) || stdout == "" {
			t.Errorf("%s: exit %d, stderr %q, stdout of %d bytes", path, code, stderr, len(stdout))
		}
	}
}

func TestFirstUsableSocket(t *testing.T) {
	dir := t.TempDir()
	ours := filepath.Join(dir, "pushd-"+strconv.Itoa(os.Getuid()))
	paths := []string{filepath.Join(dir, "a/b/pushd.sock"), filepath.Join(ours, "pushd.sock"), filepath.Join(dir, "c/pushd.sock")}
	if got := firstUsable(paths); got != paths[1] {
		t.Errorf("firstUsable = %s, want %s, whose directory can be made", got, paths[1])
	}
	if err := os.Mkdir(ours, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := firstUsable(paths); got != paths[1] {
		t.Errorf("firstUsable = %s, want %s, whose directory is ours", got, paths[1])
	}
	if err := os.Chmod(ours, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := firstUsable(paths); got != paths[2] {
		t.Errorf("firstUsable = %s, want %s: the one before is open to others", got, paths[2])
	}
	if got := firstUsable(paths[:1]); got != paths[0] {
		t.Errorf("firstUsable = %s, want the last when none will do", got)
	}
}

func TestHelpTexts(t *testing.T) {
	for name, args := range map[string][]string{"help.txt": {"--help"}, "help-check.txt": {"check", "--help"}} {
		_, code, stdout, stderr := start(t, args...)
		if code != app.OK || stderr != "" {
			t.Errorf("%v: exit %d, stderr %q", args, code, stderr)
		}
		golden.Check(t, name, stdout)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), asMain+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	says := func(want string) {
		t.Helper()
		b := make([]byte, len(want))
		if _, err := out.Read(b); err != nil || string(b) != want {
			t.Fatalf("pushd says %q, %v, want %q", b, err, want)
		}
	}
	says("up\n")
	// The one for the whole process group comes at the same moment, and is no second one.
	for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	says("draining\n")
	<-time.After(sameSignal + 100*time.Millisecond)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("pushd ended with %v, want exit status 143", err)
	}
}
