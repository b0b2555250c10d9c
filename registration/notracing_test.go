//go:build !race

package registration_test

const racing = false
