package main

import (
	"errors"
	"log/slog"
	"runtime/debug"
	"slices"

	"holdfast/pkg/server"
	"holdfast/pkg/sysprep"
)

// checkHost logs, once, each limit of the host that is too low for the clients that o allows. With strict it refuses to
// start then; on loopback addresses only for what would end the process, see sysprep.AtStart. When nobody has given
// --max-connections, nobody expects as many as the open files allow: the log then has what the host holds where that is
// less, and what is wrong with it for so many.
func checkHost(o server.Options, root string, given, strict bool) error {
	h, err := sysprep.Open(root)
	if err != nil {
		if strict {
			return errors.New("--strict-host: there is no /proc to check the host by")
		}
		return nil
	}
	public := slices.ContainsFunc(o.Listen, func(address string) bool { return !loopback(address) })
	defer debug.FreeOSMemory() // what the check has read would stay resident: half as much as pushd itself without clients
	target := sysprep.Target{N: int64(o.MaxConnections)}
	if !given {
		room, limit := sysprep.CapacityAtStart(h, target)
		if limit != "" {
			o.Log.Info("this host has room for fewer connections than open files", slog.Int64("capacity", room), slog.String("check", limit))
		}
		target.N = max(1, room)
	}
	failed, refuse := sysprep.AtStart(h, target, !public)
	for _, f := range failed {
		if !given && f.Holds != nil {
			continue // the line above has it
		}
		o.Log.Warn("this host is not ready for max-connections", slog.String("check", f.ID), slog.String("current", f.Current),
			slog.String("wanted", f.Wanted), slog.String("why", f.Why))
	}
	if strict && refuse {
		return errors.New("--strict-host: this host cannot hold --max-connections; sysprep check says what to change")
	}
	return nil
}
