package sysprep

import "fmt"

var epollWatchesCheck = Check{ID: "fs.epoll.max_user_watches", Group: GroupEpoll, run: checkEpollWatches}

func checkEpollWatches(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("fs.epoll.max_user_watches")
	if err != nil {
		return Finding{}, err
	}
	return judgeEpollWatches(current, t), nil
}

// judgeEpollWatches fails below the recommendation. pushd registers each connection once.
func judgeEpollWatches(current int64, t Target) Finding {
	need := func(n int64) int64 { return ceilPercent(n, 105) + 10_000 }
	f := atLeast(current, need(t.N), need(t.N))
	f.Holds = holds(current, need)
	f.Formula = fmt.Sprintf("%d*1.05 + 10000 = %s", t.N, f.Wanted)
	f.Why = "Each connection is an epoll registration of pushd's user; past the limit epoll_ctl fails with ENOSPC."
	return f.withSysctl("fs.epoll.max_user_watches")
}
