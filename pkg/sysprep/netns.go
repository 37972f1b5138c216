package sysprep

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// netnsIDs are the checks that read what belongs to a network namespace, beside those of its own settings.
var netnsIDs = []string{"net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets", "net.ipv4.neigh.default.gc_thresh3",
	"evidence.listen", "evidence.backlog", "evidence.tcp_memory", "evidence.time_wait", "evidence.conntrack", "evidence.paws"}

// ofNetns reports whether the check reads the network namespace. tcp_tw_recycle does not count: nothing but the files
// has it today.
func ofNetns(id string) bool {
	setting := strings.HasPrefix(id, "net.") && ScopeOf(id) == ScopeNetns && id != "net.ipv4.tcp_tw_recycle"
	return setting || slices.Contains(netnsIDs, id)
}

// foreignNetns is the reason why the settings of the network that are seen here may not be those of the target's process:
// it has a network namespace of its own, or this user may not see whether it has one. It is nil when they are.
func (h *Host) foreignNetns(t Target) error {
	if t.PID == 0 {
		return nil
	}
	theirs, err := fs.ReadLink(h.root, t.procDir()+"/ns/net")
	ours, ourErr := fs.ReadLink(h.root, "proc/self/ns/net")
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(ourErr, fs.ErrNotExist): // a copy of files seldom has them
		return nil
	case err == nil && ourErr == nil && theirs == ours:
		return nil
	case err == nil && ourErr == nil:
	default: // of another user's process the links are hidden, but not which files of the network it sees
		their, known := h.inode(t.procDir() + "/net/dev")
		our, ourKnown := h.inode("proc/self/net/dev")
		if !known || !ourKnown {
			return fmt.Errorf("this user may not see whether process %d shares this network namespace; check as root", t.PID)
		}
		if their == our {
			return nil
		}
	}
	return fmt.Errorf("process %d has a network namespace of its own: nsenter -t %d -n sysprep check sees it", t.PID, t.PID)
}

// inode is the number of a file on its file system.
func (h *Host) inode(name string) (number uint64, known bool) {
	info, err := fs.Stat(h.root, name)
	if err != nil {
		return 0, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Ino, true
}
