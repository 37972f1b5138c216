package sysprep

import "fmt"

var epollChecks = []Check{{ID: "fs.epoll.max_user_watches", Group: GroupEpoll, run: checkEpollWatches, Explain: "" +
	"Registrations in epoll sets are counted for each user, over all of its processes: one for each connection of pushd, and " +
	"one more for a load generator that runs as the same user. Past the limit epoll_ctl fails with ENOSPC and the connection " +
	"cannot be served. The default is 4% of the memory at 184 bytes each, too little for a million below 4.6 GiB."}}

func checkEpollWatches(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("fs.epoll.max_user_watches")
	if err != nil {
		return Finding{}, err
	}
	f := judgeEpollWatches(current, t)
	return f.withSysctl(h, "fs.epoll.max_user_watches", f.Wanted), nil
}

// judgeEpollWatches fails below the recommendation. pushd registers each connection once.
func judgeEpollWatches(current int64, t Target) Finding {
	need := func(n int64) int64 { return ceilPercent(t.with(n).sockets(), 105) + 10_000 }
	f := atLeast(current, need(t.N), need(t.N))
	f.Holds = holds(current, need)
	f.Formula = fmt.Sprintf("%d sockets*1.05 + 10000 = %s", t.sockets(), f.Wanted)
	f.Why = "Each connection is an epoll registration of pushd's user; past the limit epoll_ctl fails with ENOSPC."
	return f
}
