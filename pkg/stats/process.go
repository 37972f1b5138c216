package stats

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Process is what the kernel says about this process.
type Process struct {
	RSSBytes     int64   // resident set
	RSSAnonBytes int64   // the part of it that is no file: heap and stacks
	CPUSeconds   float64 // user and system time
	FDs          FDs
}

// ReadProcess reads the state of this process: memory and files from /proc under root, which is "/" outside tests, and the
// processor time from getrusage(2), because /proc/self/stat rounds it to 10 ms. countFDs gives the number of open
// descriptors where the kernel does not say it (before Linux 6.2); it may be nil.
//
// It costs two small reads, one stat and one getrusage whatever the number of connections: the list of descriptors is not
// read, and neither is smaps.
func ReadProcess(root string, countFDs func() int) (Process, error) {
	self := filepath.Join(root, "proc/self")
	var p Process
	status, err := os.ReadFile(filepath.Join(self, "status"))
	if err != nil {
		return Process{}, fmt.Errorf("read process memory: %w", err)
	}
	if p.RSSBytes, err = statusBytes(status, "VmRSS:"); err != nil {
		return Process{}, err
	}
	if p.RSSAnonBytes, err = statusBytes(status, "RssAnon:"); err != nil {
		return Process{}, err
	}
	if p.CPUSeconds, err = cpuSeconds(); err != nil {
		return Process{}, err
	}
	limits, err := os.ReadFile(filepath.Join(self, "limits"))
	if err != nil {
		return Process{}, fmt.Errorf("read process limits: %w", err)
	}
	if p.FDs.Limit, err = openFilesLimit(limits); err != nil {
		return Process{}, err
	}
	p.FDs.Used = openFDs(self, countFDs)
	return p, nil
}

// statusBytes finds a line such as "RssAnon:	    1234 kB" in /proc/PID/status.
func statusBytes(status []byte, key string) (int64, error) {
	for line := range bytes.Lines(status) {
		rest, ok := bytes.CutPrefix(line, []byte(key))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, fmt.Errorf("process status: %q is not a number of kB", bytes.TrimSpace(line))
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 53)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("process status: %q is not a number of kB", bytes.TrimSpace(line))
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("process status: no line %s", key)
}

// cpuSeconds is the user and system time of all threads of this process.
func cpuSeconds() (float64, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read process times: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds(), nil
}

// unlimited stands for no limit on open files; fs.nr_open keeps the real one far below.
const unlimited = 1<<31 - 1

// openFilesLimit finds the soft limit in the line "Max open files  SOFT  HARD  files" of /proc/PID/limits.
func openFilesLimit(limits []byte) (int, error) {
	for line := range bytes.Lines(limits) {
		rest, ok := bytes.CutPrefix(line, []byte("Max open files"))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) < 2 {
			break
		}
		if string(fields[0]) == "unlimited" {
			return unlimited, nil
		}
		n, err := strconv.ParseUint(string(fields[0]), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("process limits: open files: %w", err)
		}
		return int(min(n, unlimited)), nil
	}
	return 0, errors.New("process limits: no line for open files")
}

// openFDs returns the number of open descriptors. Since Linux 6.2 it is the size of /proc/self/fd, which costs no walk
// over them; older kernels say 0.
func openFDs(self string, count func() int) int {
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(self, "fd"), &st); err == nil && st.Size > 0 {
		return int(st.Size)
	}
	if count == nil {
		return 0
	}
	return count()
}

// Fill puts p into the fields of s that describe the process.
func (p Process) Fill(s *Snapshot) {
	s.RSSBytes = p.RSSBytes
	s.RSSAnonBytes = p.RSSAnonBytes
	s.CPUSeconds = p.CPUSeconds
	s.FDs = p.FDs
}
