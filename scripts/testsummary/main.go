// Command testsummary reads the JSON of `go test -json`, shows what failed with
// its output, and counts. It fails when a test failed, when none ran, and, with
// CI set, when one was skipped.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	output := map[string][]string{}
	elapsed := map[string]float64{}
	var passed, failed, skipped int
	broken := false
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text())
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output":
			output[key] = append(output[key], e.Output)
		case "build-output":
			fmt.Print(e.Output)
		case "build-fail":
			broken = true
		case "pass", "fail", "skip":
			if e.Test == "" {
				elapsed[e.Package] = e.Elapsed
				if e.Action == "fail" {
					broken = true
					show(e.Package, output[key])
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
				delete(output, key)
			case "fail":
				failed++
				show(key, output[key])
			case "skip":
				skipped++
				show("skipped: "+key, output[key])
			}
		}
	}
	slowest(elapsed)
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 || broken || passed == 0 || in.Err() != nil || skipped > 0 && os.Getenv("CI") != "" {
		os.Exit(1)
	}
}

func show(what string, lines []string) {
	fmt.Printf("--- %s\n", what)
	for _, l := range lines {
		fmt.Print(l)
	}
}

// slowest prints the packages that took longest.
func slowest(elapsed map[string]float64) {
	names := make([]string, 0, len(elapsed))
	for n := range elapsed {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool { return elapsed[names[i]] > elapsed[names[j]] })
	for _, n := range names[:min(5, len(names))] {
		fmt.Printf("%6.1f s %s\n", elapsed[n], n)
	}
}
