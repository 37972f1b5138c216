package sysprep

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelVersion is the beginning of a kernel's release. The zero value is not known.
type kernelVersion struct{ major, minor int }

func (v kernelVersion) known() bool { return v.major > 0 }

func (v kernelVersion) before(o kernelVersion) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

// sinceKernel names the kernels with which settings came that an older one lacks.
var sinceKernel = map[string]kernelVersion{
	"net.ipv4.tcp_migrate_req":   {5, 14},
	"net.ipv4.tcp_ehash_entries": {6, 1},
}

// release is the kernel's release, or "" where the host does not show it.
func (h *Host) release() string {
	s, err := h.text("proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return s
}

func (h *Host) kernel() kernelVersion { return parseRelease(h.release()) }

func parseRelease(s string) kernelVersion {
	var v kernelVersion
	if n, err := fmt.Sscanf(s, "%d.%d", &v.major, &v.minor); n != 2 || err != nil || v.major < 0 || v.minor < 0 {
		return kernelVersion{}
	}
	return v
}

// Netns reports whether the host is seen from a child network namespace, where some settings of the machine are hidden.
// It cannot be known without the settings of the protocol.
func (h *Host) Netns() (child, known bool) {
	if _, err := h.text("proc/sys/net/ipv4/tcp_rmem"); err != nil {
		return false, false
	}
	_, err := h.text("proc/sys/net/ipv4/tcp_mem") // no child has it
	return err != nil, true
}

// Container names what kind of container this is, or "" when there is no sign of one. The sign may be stale: a virtual
// machine that was made of a container's files still has it. What can be set from here, settable tells.
func (h *Host) Container() string {
	for _, sign := range []struct{ file, name string }{
		{"run/secrets/kubernetes.io", "kubernetes"},
		{"run/.containerenv", "podman"},
		{".dockerenv", "docker"},
	} {
		if h.exists(sign.file) {
			return sign.name
		}
	}
	if s, err := h.text("run/systemd/container"); err == nil && s != "" {
		return s
	}
	groups, _ := h.text("proc/self/cgroup") //nolint:errcheck // then it shows no sign
	for _, sign := range []struct{ part, name string }{{"/kubepods", "kubernetes"}, {"/docker", "docker"}, {"/lxc", "lxc"}} {
		if strings.Contains(groups, sign.part) {
			return sign.name
		}
	}
	return ""
}

// settable reports whether root could set the key from here: container runtimes mount the settings read-only, and a
// child network namespace may not set what belongs to the machine.
func (h *Host) settable(key string) bool {
	if h.sysctlsReadOnly() {
		return false
	}
	child, _ := h.Netns()
	return !child || !strings.HasPrefix(key, "net.") || ScopeOf(key) == ScopeNetns
}

// sysctlsReadOnly reports whether /proc/sys is mounted read-only, as in most containers.
func (h *Host) sysctlsReadOnly() bool {
	mounts, err := h.text("proc/self/mountinfo")
	if err != nil {
		return false
	}
	return parseReadOnly(mounts)
}

// parseReadOnly looks for the last mount over /proc/sys in a mountinfo; without one, that of /proc counts.
func parseReadOnly(mounts string) bool {
	proc, sys, hasSys := false, false, false
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line) // id, parent, device, root, mount point, options, ...
		if len(f) < 6 {
			continue
		}
		readOnly := f[5] == "ro" || strings.HasPrefix(f[5], "ro,")
		switch f[4] {
		case "/proc":
			proc = readOnly
		case "/proc/sys":
			sys, hasSys = readOnly, true
		}
	}
	if hasSys {
		return sys
	}
	return proc
}

// kernelLogBytes bounds what is read of the kernel's log; its ring is seldom larger.
const kernelLogBytes = 1 << 20

// readKernelLog reads the log of this machine's kernel, as dmesg does.
func readKernelLog() (string, error) {
	buf := make([]byte, kernelLogBytes)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buf)
	if err != nil {
		return "", fmt.Errorf("the kernel's log may not be read by this user (%w); check as root", err)
	}
	return string(buf[:n]), nil
}
