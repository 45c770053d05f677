/* SPDX-License-Identifier: MIT */
/*
 * machine/calendar.c - seconds since 1970 to the Gregorian calendar and back, for any year the RTC
 * can show.
 *
 *   1. Days      a day's number from year, month and day, and back
 *   2. Seconds   the same with the time of day
 *
 * Years begin in March here, so that the leap day is a year's last and the months' lengths follow
 * one formula: month m (March = 0) begins on day (153 m + 2) / 5 of its year.
 */
#include "machine/device.h"

#define DAYS_PER_ERA 146097 /* 400 years */
#define EPOCH_DAY 719468    /* 1970-01-01, counted from 0000-03-01 */

/* ---- 1. Days -------------------------------------------------------------------------------- */

static int64_t divide_down(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int64_t day_number(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = (month + 9) % 12, y = year - (month < 3);
	int64_t era = divide_down(y, 400), in_era = y - era * 400;
	int64_t in_year = (153 * from_march + 2) / 5 + day - 1;

	return era * DAYS_PER_ERA + in_era * 365 + in_era / 4 - in_era / 100 + in_year - EPOCH_DAY;
}

static void date_of_day(int64_t number, struct calendar *c)
{
	int64_t day = number + EPOCH_DAY, era = divide_down(day, DAYS_PER_ERA);
	int64_t in_era = day - era * DAYS_PER_ERA;
	/* leap days fall out of the count before it is divided: one each 1461, 36524, 146096 days
	 */
	int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * year + year / 4 - year / 100);
	int64_t month = (5 * in_year + 2) / 153;

	c->day = (unsigned)(in_year - (153 * month + 2) / 5 + 1);
	c->month = (unsigned)(month < 10 ? month + 3 : month - 9);
	c->year = year + era * 400 + (c->month < 3);
	c->weekday = (unsigned)(((number + 4) % 7 + 7) % 7); /* 1970-01-01 was a Thursday */
}

/* ---- 2. Seconds ----------------------------------------------------------------------------- */

struct calendar calendar_of_seconds(int64_t seconds)
{
	int64_t day = divide_down(seconds, 86400), rest = seconds - day * 86400;
	struct calendar c = {.hour = (unsigned)(rest / 3600),
			     .minute = (unsigned)(rest / 60 % 60),
			     .second = (unsigned)(rest % 60)};

	date_of_day(day, &c);
	return c;
}

int64_t calendar_to_seconds(const struct calendar *c)
{
	/* a month out of range (0, 13..) carries over into the year, as a day does into the month
	 */
	int64_t months = (int64_t)c->month - 1, year = c->year + divide_down(months, 12);
	int64_t month = months - divide_down(months, 12) * 12 + 1;

	return (day_number(year, month, 1) + (int64_t)c->day - 1) * 86400 +
	       (int64_t)c->hour * 3600 + (int64_t)c->minute * 60 + (int64_t)c->second;
}
