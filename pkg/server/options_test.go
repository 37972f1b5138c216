package server

import "testing"

func TestNewOptionsFitTheMachine(t *testing.T) {
	o := NewOptions()
	if o.Loops < 1 || o.MaxConnections < 1 || o.MaxConnections >= FileLimit() {
		t.Errorf("Loops = %d, MaxConnections = %d of %d files", o.Loops, o.MaxConnections, FileLimit())
	}
	if o.QueueMemory < 1<<20 || o.QueueMemory%(1<<20) != 0 {
		t.Errorf("QueueMemory = %d, want whole MiB", o.QueueMemory)
	}
	if o.MaxFrame < o.MaxMessage || o.Log == nil {
		t.Errorf("MaxFrame = %d for MaxMessage = %d, Log = %v", o.MaxFrame, o.MaxMessage, o.Log)
	}
}

func TestFrameForHoldsThreeFormats(t *testing.T) {
	if o := NewOptions(); o.MaxFrame != 1<<20 || o.MaxFrame < 3*o.MaxMessage {
		t.Errorf("MaxFrame = %d for messages of %d, want 1 MiB and room for three copies", o.MaxFrame, o.MaxMessage)
	}
	if got := FrameFor(8 << 20); got < 3*8<<20 {
		t.Errorf("FrameFor(8 MiB) = %d, want room for three copies", got)
	}
}

func TestQueueMemoryWithoutProc(t *testing.T) {
	if got := memoryShare(t.TempDir()); got != 128<<20 {
		t.Errorf("queueMemory = %d, want 128 MiB", got)
	}
}

func TestSpareFilesCountLoopsAndAddresses(t *testing.T) {
	if got := SpareFiles(2, 1); got != 512 {
		t.Errorf("SpareFiles(2, 1) = %d, want 512", got)
	}
	for _, tt := range [][2]int{{64, 1}, {2, 128}} {
		if got, open := SpareFiles(tt[0], tt[1]), tt[0]*(6+tt[1]); got < 512+open-32 {
			t.Errorf("SpareFiles(%d, %d) = %d, and the loops alone take %d", tt[0], tt[1], got, open)
		}
	}
}
