package router

import (
	"fmt"
	"os"
	"syscall"
)

// selfExe is the file of this process's program, also when it was replaced.
const selfExe = "/proc/self/exe"

// buildOf names the file of a program; "" when there is none. The file of
// another version has another name, however its path is.
func buildOf(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return ""
	}
	name := fmt.Sprintf("%d-%d", fi.Size(), fi.ModTime().UnixNano())
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		name += fmt.Sprintf("-%d-%d", st.Dev, st.Ino)
	}
	return name
}
