package analysis

import (
	"math"
	"slices"
)

// RankTest is how the values of two samples stand to each other by rank.
type RankTest struct {
	// P is the one-sided probability of ranks as high as the first sample's, or
	// higher, if nothing but chance divided the values into two samples.
	P float64 `json:"p"`
	// Effect is the probability that a value of the first sample exceeds one of
	// the second, ties counting half (Vargha and Delaney's A): 0.5 is no
	// difference, 0.56 small, 0.64 medium, 0.71 large.
	Effect float64 `json:"effect"`
}

// exactRanks is the greatest number of values for which P is exact; with more it
// is by the normal distribution, corrected for ties and for continuity.
const exactRanks = 60

// MannWhitney compares two samples of independent values by their ranks, ties
// having the mean of their ranks. Only the order of values matters, so units do
// not. With an empty sample P is 1 and the effect 0.5.
//
// Source: Mann and Whitney (1947); the exact distribution with ties is that of
// the rank sum over all ways to choose the first sample from the values at hand.
func MannWhitney(first, second []float64) RankTest {
	m, n := len(first), len(second)
	if m == 0 || n == 0 {
		return RankTest{P: 1, Effect: 0.5}
	}
	ranks, sum, ties := doubledRanks(first, second)
	u := (float64(sum) - float64(m*(m+1))) / 2
	test := RankTest{Effect: u / float64(m*n)}
	if m+n <= exactRanks {
		test.P = exactTail(ranks, m, sum)
		return test
	}
	total := float64(m + n)
	variance := float64(m*n) / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		test.P = 1
		return test
	}
	z := (u - float64(m*n)/2 - 0.5) / math.Sqrt(variance)
	test.P = math.Erfc(z/math.Sqrt2) / 2
	return test
}

// doubledRanks gives twice the mid-ranks of all values (whole numbers, so that
// sums are exact), twice the rank sum of the first sample, and Σ(t³−t) over
// groups of t ties.
func doubledRanks(first, second []float64) (ranks []int, sum int, ties float64) {
	type value struct {
		v     float64
		first bool
	}
	all := make([]value, 0, len(first)+len(second))
	for _, v := range first {
		all = append(all, value{v, true})
	}
	for _, v := range second {
		all = append(all, value{v, false})
	}
	slices.SortFunc(all, func(a, b value) int {
		switch {
		case a.v < b.v:
			return -1
		case a.v > b.v:
			return 1
		}
		return 0
	})
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].v == all[i].v {
			j++
		}
		t := float64(j - i)
		ties += t*t*t - t
		for k := i; k < j; k++ {
			rank := i + 1 + j // twice the mean of i+1 … j
			ranks = append(ranks, rank)
			if all[k].first {
				sum += rank
			}
		}
		i = j
	}
	return ranks, sum, ties
}

// exactTail is the share of all choices of m ranks whose sum is at least sum.
func exactTail(ranks []int, m, sum int) float64 {
	most := 0
	for _, r := range ranks {
		most += r
	}
	ways := make([][]float64, m+1) // by how many are chosen, then by their sum
	for k := range ways {
		ways[k] = make([]float64, most+1)
	}
	ways[0][0] = 1
	reach := 0
	for _, r := range ranks {
		reach += r
		for k := m; k >= 1; k-- {
			for s := reach; s >= r; s-- {
				ways[k][s] += ways[k-1][s-r]
			}
		}
	}
	var all, tail float64
	for s, w := range ways[m] {
		all += w
		if s >= sum {
			tail += w
		}
	}
	return tail / all
}
