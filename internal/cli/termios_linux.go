package cli

import "golang.org/x/sys/unix"

// The requests that read and write a terminal's settings, and the one that also
// throws away what was typed and not read.
const getTermios, setTermios, flushTermios = unix.TCGETS, unix.TCSETS, unix.TCSETSF
