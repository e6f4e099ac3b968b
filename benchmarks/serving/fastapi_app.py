"""FastAPI around ``Recommender``, as a user would write it: ``python -m benchmarks.serving.fastapi_app RUN PORT``."""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

import interestlab

torch.set_num_threads(1)
shop = interestlab.load(sys.argv[1])
states: dict[str, Any] = {}
app = FastAPI()


class Event(BaseModel):
    """One event of one user."""

    event_id: str
    user_id: str
    item_id: str
    timestamp: int
    k: int = 10


@app.post("/events")
async def post_event(event: Event) -> list[dict[str, Any]]:
    """Move the state of the user, and recommend."""
    state = states.get(event.user_id) or shop.state([])
    state = states[event.user_id] = shop.update(state, {"item_id": event.item_id, "timestamp": event.timestamp})
    return shop.recommend(state, k=event.k).to_dicts()


@app.get("/readyz")
async def ready() -> str:
    """Say that requests are answered."""
    return "ready"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
