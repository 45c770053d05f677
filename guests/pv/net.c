/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/net.c - the virtio network: queue 0 receives, queue 1 sends; a header before each frame.
 */
#include "guests/pv/device.h"

enum { FIELD_MAC = 0x41, FEATURE_MAC = 1u << 5, HEADER_MAX = 12, BUFFERS = 4 };

static struct device *net;
static uint8_t mac[MAC_BYTES];
static char headers[BUFFERS + 1][HEADER_MAX], received[BUFFERS][FRAME_MAX];
static uint16_t heads[BUFFERS];

/* Grew with the families: number of buffers in the last. */
static uint32_t header_bytes(void)
{
	return family->devices == DEVICES_FORMAT_1 ? 8 : family->devices == DEVICES_FORMAT_2 ? 10 : 12;
}

static void post(unsigned i)
{
	const struct buffer list[] = { { headers[i], header_bytes(), true },
				       { received[i], FRAME_MAX, true } };

	heads[i] = queue_add(&net->queue[0], list, 2);
}

bool net_start(uint8_t *address)
{
	if (!net && (net = find_device(DEVICE_NET))) {
		device_begin(net, FEATURE_MAC);
		device_config(net, FIELD_MAC, 0, mac, sizeof mac);
		for (unsigned i = 0; i < BUFFERS; i++)
			post(i);
		queue_notify(&net->queue[0]);
	}
	memcpy(address, mac, sizeof mac);
	return net;
}

bool net_send(const void *frame, uint32_t bytes)
{
	static char copy[FRAME_MAX];
	const struct buffer list[] = { { headers[BUFFERS], header_bytes(), false }, { copy, bytes, false } };
	struct used used;

	memcpy(copy, frame, bytes);
	return queue_request(&net->queue[1], list, 2, &used);
}

uint32_t net_receive(void *frame)
{
	struct used used;

	if (!queue_wait(&net->queue[0], &used) || used.bytes < header_bytes())
		return 0;
	for (unsigned i = 0; i < BUFFERS; i++) {
		if (heads[i] != used.id)
			continue;
		memcpy(frame, received[i], used.bytes - header_bytes());
		post(i);
		queue_notify(&net->queue[0]);
		return used.bytes - header_bytes();
	}
	return 0;
}
