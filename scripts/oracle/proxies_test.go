package oracle

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	patience = 20 * time.Second // with everything that has no bound of its own
	version  = "pushpin 1.36."  // that the accepted differences are about
	internal = "/usr/lib/pushpin/internal.conf"
	sigKey   = "a key that only this test knows"
)

// proxy is one of the two, with a backend of its own.
type proxy struct {
	name    string
	addr    string // for clients
	publish string // URL of its publish endpoint
	backend *backend
}

// routes is the file that both serve by. The backend's address is the only thing that differs.
const routes = `plain.test BACKEND
debug.test,debug BACKEND
down.test DEAD
down-debug.test,debug DEAD
over.test DEAD BACKEND
prefix.test,prefix=pre- BACKEND
nogrip.test,no_grip BACKEND
aco.test,aco BACKEND
header.test,header=X-Added:yes,header=X-Gone: BACKEND
beg.test,path_beg=/v1/,replace_beg=/v2/ BACKEND
rem.test,path_beg=/cut,path_rem=4 BACKEND
ashost.test,as_host=other.test BACKEND
host.test BACKEND,host=target.test
sub.test BACKEND,sub=implied
`

func writeRoutes(t *testing.T, dir, backend, dead string) string {
	t.Helper()
	file := filepath.Join(dir, "routes")
	text := strings.NewReplacer("BACKEND", backend, "DEAD", dead).Replace(routes)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

const pushpinConfig = `[global]
include=DIR/internal.conf
rundir=DIR
ipc_prefix=o-
port_offset=OFFSET
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=CLIENTS
logdir=DIR
log_level=2
client_buffer_size=8192
client_maxconn=1000
[proxy]
routesfile=DIR/routes
sig_key=SIGKEY
set_x_forwarded_protocol=proto-only
[handler]
push_in_spec=tcp://127.0.0.1:5560
push_in_sub_specs=tcp://127.0.0.1:5562
push_in_http_addr=127.0.0.1
push_in_http_port=5561
stats_spec=ipc://{rundir}/{ipc_prefix}stats
command_spec=tcp://127.0.0.1:5563
message_rate=2500
message_hwm=25000
message_wait=5000
id_cache_ttl=60
connection_subscription_max=20
subscription_linger=60
stats_connection_ttl=120
stats_format=json
`

// startPushpin runs Debian's Pushpin, or skips the test.
func startPushpin(t *testing.T, dead string) *proxy {
	t.Helper()
	for _, program := range []string{"pushpin", "condure", "zurl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed: apt-get install pushpin condure zurl", program)
		}
	}
	if out, err := exec.Command("pushpin", "--version").Output(); err != nil || !strings.HasPrefix(string(out), version) {
		t.Skipf("pushpin --version says %q, %v: the accepted differences are about %sx", out, err, version)
	}
	specs, err := os.ReadFile(internal)
	if err != nil {
		t.Skipf("not Debian's package of pushpin: %v", err)
	}
	dir, err := os.MkdirTemp("", "oracle") // t.TempDir is too long for the names of Unix sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &proxy{name: "pushpin", addr: freeAddr(t, 1), backend: startBackend(t)}
	writeRoutes(t, dir, p.backend.addr(), dead)
	control := freeAddr(t, 4) // 5560 to 5563, plus the offset
	first := port(t, control)
	p.publish = fmt.Sprintf("http://127.0.0.1:%d/publish/", first+1)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("internal.conf", strings.ReplaceAll(string(specs), "ipc:///var/run/zurl/", "ipc://{rundir}/{ipc_prefix}"))
	write("pushpin.conf", strings.NewReplacer("DIR", dir, "OFFSET", fmt.Sprint(first-5560), "CLIENTS", p.addr, "SIGKEY", sigKey).Replace(pushpinConfig))
	start(t, p, exec.Command("pushpin", "--config="+filepath.Join(dir, "pushpin.conf"), "--merge-output"))
	return p
}

func startPushd(t *testing.T, dead string) *proxy {
	t.Helper()
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../../cmd/pushd").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dir := t.TempDir()
	p := &proxy{name: "pushd", addr: freeAddr(t, 1), backend: startBackend(t)}
	control := freeAddr(t, 1)
	p.publish = "http://" + control + "/publish/"
	start(t, p, exec.Command(filepath.Join(bin, "pushd"), "--listen", p.addr, "--publish-listen", control,
		"--socket", filepath.Join(dir, "s"), "--routes", writeRoutes(t, dir, p.backend.addr(), dead),
		"--sig-key", sigKey, "--loops", "2", "--drain-timeout", "0s"))
	return p
}

// start runs a proxy for the time of the test, in a process group of its own, and waits until it proxies and takes items.
func start(t *testing.T, p *proxy, cmd *exec.Cmd) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), p.name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // also children that outlived it
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s wrote:\n%s", p.name, text)
		}
	})
	for end := time.Now().Add(patience); !p.ready(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended", p.name)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not start", p.name)
		}
	}
}

// ready reports whether a request goes all the way, and whether items are taken.
func (p *proxy) ready() bool {
	got, _ := p.once("GET /ready HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n", time.Second)
	return strings.HasPrefix(got, "HTTP/1.1 200 ") && p.post(`{"items":[]}`) == nil
}

// warm has the proxy keep n connections to its backend, so that every case finds one: what becomes of a request when its connection
// turns out to be dead is not left to chance.
func (p *proxy) warm(t *testing.T, n int) {
	t.Helper()
	p.backend.warming.Add(n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			got, err := p.once("GET /warm HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n", patience)
			if err != nil || !strings.HasPrefix(got, "HTTP/1.1 200 ") {
				t.Errorf("%s: while warming up: %q, %v", p.name, got, err)
			}
		})
	}
	all.Wait()
}

// freeAddr is an address of 127.0.0.1 after which n-1 further ports are free too.
func freeAddr(t *testing.T, n int) string {
	t.Helper()
search:
	for range 100 {
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		for i := 1; i < n; i++ {
			next, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port(t, first.Addr().String())+i))
			if err != nil {
				continue search
			}
			defer next.Close()
		}
		return first.Addr().String()
	}
	t.Fatalf("no %d free ports in a row", n)
	return ""
}

func port(t *testing.T, addr string) int {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a.Port
}
