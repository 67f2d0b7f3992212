"""The usual service: FastAPI, a pydantic body, a joblib model, a plain `def` endpoint."""

from __future__ import annotations

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()
model = joblib.load(os.environ["IRIS_JOBLIB"])


class Flower(BaseModel):
    """One row of the iris data set."""

    features: list[float] = Field(min_length=4, max_length=4)


class Prediction(BaseModel):
    """The class and how sure the model is of each."""

    label: int
    probabilities: list[float]


@app.post("/predict")
def predict(flower: Flower) -> Prediction:
    """Classify one flower. One call of the model gives both answers."""
    probabilities = model.predict_proba(np.array([flower.features]))[0]
    return Prediction(label=int(model.classes_[probabilities.argmax()]), probabilities=probabilities.tolist())
