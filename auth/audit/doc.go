// Package audit gathers what happens too often to be written each time: from which addresses credentials are shown, and
// how many wrong ones. It holds up nobody, and takes no more memory than it must.
package audit
