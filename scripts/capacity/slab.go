package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The caches of which a connection takes objects. Those of every file on the machine grow for other reasons too: each
// socket's inode comes with one of them, and they are counted like that.
var (
	socketSlabs = []string{"TCP", "TCPv6", "sock_inode_cache", "filp", "lsm_file_cache", "eventpoll_epi", "ep_head"}
	perInode    = []string{"dentry", "lsm_inode_cache"}
)

// slab is a line of /proc/slabinfo.
type slab struct {
	objects int64 // in use
	bytes   int64 // of all slabs
	share   int64 // of one object, with its part of what a slab leaves unused
}

// shrinkSlabs has the kernel give back empty slabs, so that new objects need new ones.
func shrinkSlabs() error {
	for _, name := range socketSlabs {
		err := os.WriteFile(filepath.Join("/sys/kernel/slab", name, "shrink"), []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // not every kernel has every cache
			return fmt.Errorf("give back empty slabs: %w", err)
		}
	}
	return nil
}

// slabBytes is the memory of the objects of connections: whole slabs, with what is unused in them.
func slabBytes() (int64, error) {
	text, err := os.ReadFile("/proc/slabinfo")
	if err != nil {
		return 0, err
	}
	slabs, err := parseSlabs(string(text), int64(os.Getpagesize()))
	if err != nil {
		return 0, fmt.Errorf("/proc/slabinfo: %w", err)
	}
	if slabs["TCP"].bytes == 0 || slabs["sock_inode_cache"].objects == 0 {
		return 0, errors.New("/proc/slabinfo does not name a socket's caches")
	}
	total := int64(0)
	for _, name := range socketSlabs {
		total += slabs[name].bytes
	}
	for _, name := range perInode {
		total += slabs["sock_inode_cache"].objects * slabs[name].share
	}
	return total, nil
}

func parseSlabs(text string, pageBytes int64) (map[string]slab, error) {
	slabs := make(map[string]slab)
	for line := range strings.Lines(text) {
		f := strings.Fields(line) // name, in use, all, bytes, objects of a slab, pages of a slab, ..., active slabs, slabs, ...
		if len(f) < 15 || f[0] == "#" {
			continue
		}
		var v [4]int64
		for i, column := range []int{1, 4, 5, 14} {
			n, err := strconv.ParseInt(f[column], 10, 64)
			if err != nil {
				return nil, err
			}
			v[i] = n
		}
		slabs[f[0]] = slab{objects: v[0], bytes: v[3] * v[2] * pageBytes, share: v[2] * pageBytes / max(1, v[1])}
	}
	return slabs, nil
}
