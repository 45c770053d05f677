/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/net_guard.c - what a guest may say to a network library in our own process.
 *
 *   1. Words         big endian, the Internet's
 *   2. Protocols     one at a time
 *   3. Frames
 *
 * User-mode network stacks have been the way out of more than one virtual machine: fragments put
 * together past a buffer's end, lengths that were believed, urgent data (CVE-2019-14378,
 * CVE-2020-8608, CVE-2021-3592 to 3595, CVE-2026-9539).  The versions in use are old, so a frame is
 * judged here first, and passes only when it is an ARP packet or one whole IPv4 packet with TCP,
 * UDP or ICMP in which all lengths agree.  What Linux and others really send passes; fragments
 * (datagrams over 1472 bytes) and IP options do not.
 */
#include "machine/virtio/internal.h"

/* ---- 1. Words ------------------------------------------------------------------------------- */

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* The checksum at `sum` after the word at `at` became `value` (RFC 1624, equation 3). */
static void change_word(uint8_t *at, unsigned value, uint8_t *sum)
{
	uint32_t total = (~get16(sum) & 0xFFFF) + (~get16(at) & 0xFFFF) + value;

	total = (total & 0xFFFF) + (total >> 16);
	total = (total & 0xFFFF) + (total >> 16);
	put16(at, value);
	put16(sum, ~total & 0xFFFF);
}

/* ---- 2. Protocols --------------------------------------------------------------------------- */

enum { ETHERNET = 14, IP_HEAD = 20, TCP_HEAD = 20, UDP_HEAD = 8, ICMP_HEAD = 8, ARP_BYTES = 28 };
enum { TYPE_IP = 0x0800, TYPE_ARP = 0x0806 };
enum { ICMP = 1, TCP = 6, UDP = 17 };
enum { TFTP = 69, MORE_FRAGMENTS_AND_OFFSET = 0x3FFF, TCP_URGENT = 0x20 };

/* Ethernet and IPv4 addresses: the only kind with lengths that anybody uses. */
static size_t judge_arp(const uint8_t *arp, size_t bytes)
{
	bool good = bytes >= ARP_BYTES && get16(arp) == 1 && get16(arp + 2) == TYPE_IP &&
		    arp[4] == 6 && arp[5] == 4;

	return good ? ARP_BYTES : 0;
}

/* Nobody serves files here: TFTP has only been a way in. */
static bool judge_udp(const uint8_t *udp, size_t bytes)
{
	return bytes >= UDP_HEAD && get16(udp + 4) == bytes && get16(udp + 2) != TFTP;
}

/* Urgent data become data like others: few use them, and libraries got them wrong. */
static bool judge_tcp(uint8_t *tcp, size_t bytes)
{
	size_t head;

	if (bytes < TCP_HEAD)
		return false;
	head = (size_t)(tcp[12] >> 4) * 4;
	if (head < TCP_HEAD || head > bytes)
		return false;
	if (tcp[13] & TCP_URGENT)
		change_word(tcp + 12, get16(tcp + 12) & ~(unsigned)TCP_URGENT, tcp + 16);
	if (get16(tcp + 18))
		change_word(tcp + 18, 0, tcp + 16);
	return true;
}

/* Returns the packet's own length: what follows it is the card's padding. */
static size_t judge_ip(uint8_t *ip, size_t bytes)
{
	size_t total;
	bool good;

	if (bytes < IP_HEAD || ip[0] != 0x45)
		return 0;
	total = get16(ip + 2);
	if (total < IP_HEAD || total > bytes || get16(ip + 6) & MORE_FRAGMENTS_AND_OFFSET)
		return 0;
	if (ip[9] == TCP)
		good = judge_tcp(ip + IP_HEAD, total - IP_HEAD);
	else if (ip[9] == UDP)
		good = judge_udp(ip + IP_HEAD, total - IP_HEAD);
	else
		good = ip[9] == ICMP && total - IP_HEAD >= ICMP_HEAD;
	return good ? total : 0;
}

/* ---- 3. Frames ------------------------------------------------------------------------------ */

size_t net_guard(uint8_t *frame, size_t bytes)
{
	size_t passed = 0;

	if (bytes < ETHERNET || bytes > NET_FRAME_MAX)
		return 0;
	if (get16(frame + 12) == TYPE_IP)
		passed = judge_ip(frame + ETHERNET, bytes - ETHERNET);
	else if (get16(frame + 12) == TYPE_ARP)
		passed = judge_arp(frame + ETHERNET, bytes - ETHERNET);
	return passed ? ETHERNET + passed : 0;
}
